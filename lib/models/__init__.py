"""The networks: one file per family. ``registry`` lists them all."""
