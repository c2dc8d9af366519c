"""Offline, once: pictures in, batch files, mean image and labels out."""
