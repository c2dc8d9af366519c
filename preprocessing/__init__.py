"""The scripts that make a data set, once and offline. What they do is in ``lib.packing``."""
