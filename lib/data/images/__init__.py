"""Image files: listing, decoding and resizing."""
