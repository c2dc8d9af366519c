"""Run a script of this folder, whose settings are those of paths.yaml beside it."""

from collections.abc import Callable
from pathlib import Path

from lib.packing import command
from lib.packing.settings import Settings

CLONE = Path(__file__).resolve().parent.parent


def run(script: str, description: str, work: Callable[[Settings], None]) -> int:
    """Call ``work`` with the settings of the command line and of paths.yaml. Returns the exit status."""
    return command.run(f"python -m preprocessing.{script}", description, work, CLONE)
