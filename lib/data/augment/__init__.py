"""Augmentation and normalization. Parameters are drawn on the CPU in one step, and applied on the device in another."""
