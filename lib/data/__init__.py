"""From files on disk to batches in memory: layout, order, params, sources, and the feed that joins them."""
