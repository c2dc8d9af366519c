"""Fast equivalents of plain layers, in Triton. Imported only where a GPU computes, or to test them."""
