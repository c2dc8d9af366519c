#!/usr/bin/env python3
"""Write the weights of a network in the format of another program: see --help and lib/commands/entry.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out
from lib.commands.entry import call

if __name__ == "__main__":
    sys.exit(call("export"))
