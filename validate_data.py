#!/usr/bin/env python3
"""Compare every file of a packed data set with its checksum.

examples:
  python validate_data.py
  python validate_data.py --data.dir /fast/imagenet --data.readers 16

exit status: 0 every file is intact; 2 a file is missing or damaged, each is named with the fix
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out
from lib.commands.entry import call

if __name__ == "__main__":
    sys.exit(call("verify_data", __doc__, spec=Path(__file__).resolve().with_name("spec_1gpu.yaml")))
