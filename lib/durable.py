"""Files and folders that a power cut leaves whole, or not there at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO


def write_whole(path: Path, fill: Callable[[BinaryIO], Any]) -> None:
    """Write a file aside, bring it to the disk, and rename it into place.

    ``fill`` may read what it wrote. Raises what it raises, and OSError; then what was there before stays.
    """
    part = path.with_name(f".{path.name}.partial")
    try:
        with part.open("w+b") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def sweep(folder: Path) -> None:
    """Take away what a process that was killed while it wrote has left behind."""
    for part in folder.glob(".*.partial"):
        part.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make ``folder`` unless it is there; its name and its parent's are on the disk then. Raises OSError."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _sync(folder.parent)
        _sync(folder.parent.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
