"""A data set is packed once, offline: image files in; batch files, mean image and labels out."""
