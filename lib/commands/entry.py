"""How the scripts call their commands, whose imports take a second."""

import signal
import sys
from importlib import import_module
from typing import Any


def call(command: str, *arguments: Any, **options: Any) -> int:
    """Call the function of this name in its module of ``lib.commands``. Ctrl-C during the imports is no traceback."""
    try:
        status: int = getattr(import_module(f"lib.commands.{command}"), command)(*arguments, **options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    return status
