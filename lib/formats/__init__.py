"""Weights in files of this and other programs, read into this program's names and shapes: one module per format."""
