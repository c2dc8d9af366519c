#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Compute loss, errors, mean average precision and confusion matrix of a checkpoint over all validation images.

examples:
  python validate.py
  python validate.py --checkpoint models/checkpoints/epoch060_iter00000.pt --crops 10 --out figures
  python validate.py --checkpoint models --data.dir other_data
  python validate.py --spec spec_2gpu.yaml

Network, data and sizes are those of the checkpoint's run, as far as no option and no --config says otherwise.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out
from lib.commands.entry import call

if __name__ == "__main__":
    sys.exit(call("validate", __doc__, spec=Path(__file__).resolve().with_name("spec_1gpu.yaml")))
