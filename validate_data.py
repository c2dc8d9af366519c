#!/usr/bin/env python3
"""Read all of a packed data set and compare every file with its checksum: is it still what was packed?

examples:
  python validate_data.py
  python validate_data.py --data.dir /fast/imagenet --data.readers 16

Exit status 0: all is whole; 2: something is not, and each such file is named with the way to mend it.
"""

import sys
from pathlib import Path

from lib.commands.verify_data import validate_data

if __name__ == "__main__":
    sys.exit(validate_data(__doc__, spec=Path(__file__).with_name("spec_1gpu.yaml")))
