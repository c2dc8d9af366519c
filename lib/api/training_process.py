"""The process of a training that Python code has started: ``python -m lib.api.training_process PARENT train ...``."""

import sys

from ..__main__ import main
from ..system.parent_death import end_with_parent


def run() -> int:
    """Run the command unless the process PARENT has ended; end, with a checkpoint, when it does."""
    return main() if end_with_parent(int(sys.argv.pop(1))) else 1


if __name__ == "__main__":
    sys.exit(run())
