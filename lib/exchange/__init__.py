"""Exchanges: they average tensors over all replicas and make all replicas stop together."""
