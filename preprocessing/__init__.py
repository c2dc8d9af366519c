"""Make a data set, once and offline: image files in; batch files, mean image and labels out."""
