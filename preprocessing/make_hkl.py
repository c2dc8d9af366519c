"""Pack images into batch files, and compute the mean image: see ``lib.packing.make_hkl``."""

import sys

from lib.packing.make_hkl import make_hkl
from preprocessing.command import run

if __name__ == "__main__":
    sys.exit(run("make_hkl", "Pack images into batch files, and compute the mean image.", make_hkl))
