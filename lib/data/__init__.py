"""From files on disk to batches in memory: layout, order, views, sources, and the feed that joins them."""
