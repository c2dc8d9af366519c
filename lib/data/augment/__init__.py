"""Augmentation and normalization: parameters are drawn in one function and applied in another."""
