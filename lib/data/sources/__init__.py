"""Data sources, one module for each value of ``data.source``."""
