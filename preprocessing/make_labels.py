"""Write the labels to .npy files: see ``lib.packing.make_labels``."""

import sys

from lib.packing.make_labels import make_labels
from preprocessing.command import run

if __name__ == "__main__":
    sys.exit(run("make_labels", "Write the labels to .npy files, in the order of the batch files.", make_labels))
