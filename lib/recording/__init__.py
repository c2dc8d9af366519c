"""Record a run while it trains: the console, ``metrics.jsonl``, the log, and trackers such as TensorBoard."""
