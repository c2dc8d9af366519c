#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Train on two devices, whose replicas average their gradients in every iteration.

examples:
  python train_2gpu.py
  python train_2gpu.py --devices '["cuda:2", "cuda:3"]'
  python train_2gpu.py --devices '[cpu, cpu]' --batch_size 64 --run.n_epochs 10
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out
from lib.commands.entry import call

if __name__ == "__main__":
    sys.exit(call("train", __doc__, spec=Path(__file__).resolve().with_name("spec_2gpu.yaml")))
