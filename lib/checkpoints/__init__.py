"""A training on disk: what is in a checkpoint, when one is due, and weights without a training."""
