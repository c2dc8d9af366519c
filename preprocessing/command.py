"""Run a preprocessing script: read the settings, print errors in one line, return an exit status."""

import signal
import sys
from collections.abc import Callable

from lib.errors import UserError
from lib.system.terminal import prepare_streams, print_stderr, printable
from preprocessing.settings import Settings, parse_settings


def run(script: str, description: str, work: Callable[[Settings], None]) -> int:
    """Call ``work`` with the settings of the command line. Returns the exit status."""
    prepare_streams()
    try:
        work(parse_settings(f"python -m preprocessing.{script}", description, sys.argv[1:]))
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
