"""The networks. Each file is one family; ``registry`` lists them all."""
