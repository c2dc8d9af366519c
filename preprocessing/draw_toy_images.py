"""Draw a toy data set: see ``lib.packing.draw_toy_images``."""

import sys

from lib.packing.draw_toy_images import main

if __name__ == "__main__":
    sys.exit(main())
