#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Train on two devices, whose replicas average their weights: see --help and lib/commands/entry.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out
from lib.commands.entry import call

if __name__ == "__main__":
    sys.exit(call("train_2gpu"))
