"""Evaluate a network: probabilities averaged over crops, and the metrics of a whole data set computed from them."""
