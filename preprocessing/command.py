"""What the scripts have in common when run: settings in, one line for an error, an exit status out."""

import signal
import sys
from collections.abc import Callable

from lib.errors import UserError
from preprocessing.settings import Settings, parse_settings


def run(script: str, about: str, work: Callable[[Settings], None]) -> int:
    """Do ``work`` with the settings of the command line; the exit status says how it ended."""
    try:
        work(parse_settings(f"python -m preprocessing.{script}", about, sys.argv[1:]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; started again, it goes on where it was", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def say(text: str) -> None:
    """One line to the user, at once even through a pipe."""
    print(text, flush=True)
