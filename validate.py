#!/usr/bin/env python3
"""Loss, top-1 and top-5 error of a checkpoint over every validation image, on one device.

examples:
  python validate.py --checkpoint models/checkpoints/epoch060_iter00000.pt
  python validate.py --checkpoint models/checkpoints/epoch060_iter00000.pt --devices '["cuda:1"]'
"""

import sys
from pathlib import Path

from lib.launch import validate

if __name__ == "__main__":
    sys.exit(validate(__doc__, spec=Path(__file__).with_name("spec_1gpu.yaml")))
