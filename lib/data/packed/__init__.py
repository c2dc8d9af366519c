"""Packed data sets: their layout on disk, manifest and reader."""
