"""From files on disk to batches on a device: sources, order, augmentation, and the feed that connects them."""
