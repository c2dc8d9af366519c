"""How the scripts call their commands, whose imports take a second."""

import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def call(command: str, *arguments: Any, **options: Any) -> int:
    """Call the function of this name in its module of ``lib.commands``. Ctrl-C during the imports is no traceback.

    Under ``python -OO`` docstrings are None: an empty description takes their place.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        print("error: the working folder has been deleted; change to another one", file=sys.stderr)
        return 2
    arguments = tuple("" if argument is None else argument for argument in arguments)
    try:
        status: int = getattr(import_module(f".{command}", __package__), command)(*arguments, **options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    return status
