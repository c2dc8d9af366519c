"""Run a script that packs: read the settings, print errors in one line, return an exit status."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import UserError
from ..system.terminal import prepare_streams, print_stderr, printable
from .settings import Settings, parse_settings


def run(program: str, description: str, work: Callable[[Settings], None], clone: Path | None = None) -> int:
    """Call ``work`` with the settings of the command line and of the ``clone``. Returns the exit status."""
    prepare_streams()
    try:
        work(parse_settings(program, description, sys.argv[1:], clone))
    except UserError as error:
        print_stderr(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        print_stderr("\nstopped; started again, it continues where it stopped")
        return 128 + signal.SIGINT
    return 0


def say(text: str) -> None:
    """Print a line at once, even into a pipe."""
    print(printable(text), flush=True)
