#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Train on one device, with a trainer and a loader process.

examples:
  python train.py
  python train.py --optimizer.learning_rate 0.02 --run.weights_dir models_fast
  python train.py --run.resume models/checkpoints/epoch010_iter00000.pt
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out
from lib.commands.entry import call

if __name__ == "__main__":
    sys.exit(call("train", __doc__, spec=Path(__file__).resolve().with_name("spec_1gpu.yaml")))
