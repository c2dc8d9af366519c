"""Start a module of this program as a process of its own, from a clone or where the program is installed."""

import os
import sys
from pathlib import Path

# "lib" in a clone, "tandem" where the program is installed.
_PACKAGE, *_BELOW = __name__.split(".")


def module_command(module: str) -> list[str]:
    """Return the command that runs ``module`` of this package, such as ``roles.trainer``."""
    return [sys.executable, "-P", "-m", f"{_PACKAGE}.{module}"]


def module_environment() -> dict[str, str]:
    """Return this process's environment, extended so that a new interpreter finds the package."""
    root = Path(__file__).parents[len(_BELOW)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))}
