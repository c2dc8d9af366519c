"""Name the classes and list the images: see ``lib.packing.make_train_val_txt``."""

import sys

from lib.packing.make_train_val_txt import make_train_val_txt
from preprocessing.command import run

if __name__ == "__main__":
    sys.exit(run("make_train_val_txt", "Name the classes, and list the images with their labels.", make_train_val_txt))
