"""Pictures before they are batches: listing, decoding and resizing."""
