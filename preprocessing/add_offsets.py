"""Add to the manifest of an older data set where the pixels begin: see ``lib.packing.add_offsets``."""

import sys

from lib.packing.add_offsets import main

if __name__ == "__main__":
    sys.exit(main())
