"""Start a module of this program as a process of its own, from a clone or where the program is installed."""

import os
import site
import sys
from pathlib import Path

PACKAGE, *_BELOW = __name__.split(".")
"""the package's name: lib in a clone, tandem where the program is installed"""

PACKAGE_DIR = Path(__file__).parents[len(_BELOW) - 1]


def module_command(module: str) -> list[str]:
    """Return the command that runs ``module`` of this package, such as ``roles.trainer``."""
    return [sys.executable, "-P", "-m", f"{PACKAGE}.{module}"]


def module_environment() -> dict[str, str]:
    """Return this process's environment, extended so that a new interpreter finds the package."""
    root = PACKAGE_DIR.parent
    if str(root) in (*site.getsitepackages(), site.getusersitepackages()):
        return dict(os.environ)  # a new interpreter searches it, and only after the standard library
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))}
