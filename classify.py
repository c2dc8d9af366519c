#!/usr/bin/env python3
"""Print the most probable classes of images: see --help and lib/commands/entry.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out
from lib.commands.entry import call

if __name__ == "__main__":
    sys.exit(call("classify"))
