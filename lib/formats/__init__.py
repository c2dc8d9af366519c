"""Weights in files of ours and of others: one file a format, each read into our names and shapes."""
