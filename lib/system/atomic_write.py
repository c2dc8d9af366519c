"""Files and folders that a power cut leaves whole, or not there at all."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

# What even a slow disk takes within seconds.
_PIECE = 64 << 20


class _Steadily(io.BufferedRandom):
    """A file that goes to the disk piece by piece, with a call of ``written`` after each."""

    def __init__(self, path: Path, written: Callable[[], Any]) -> None:
        super().__init__(io.FileIO(path, "w+"))
        self._written, self._since = written, 0

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _PIECE):
            self._since += super().write(view[start : start + _PIECE])
            if self._since >= _PIECE:
                self.sync()
        return len(view)

    def sync(self) -> None:
        self.flush()
        os.fsync(self.fileno())
        self._written()
        self._since = 0


def atomic_write(path: Path, fill: Callable[[BinaryIO], Any], written: Callable[[], Any] = lambda: None) -> None:
    """Write a file aside, bring it to the disk, and rename it into place.

    ``fill`` may read what it wrote; ``written`` is called whenever 64 MiB more are on the disk, so that whoever waits
    can tell a large file from a disk that is away. Raises what both raise, and OSError; then what was there before
    stays.
    """
    part = _aside(path)
    try:
        with _Steadily(part, written) as file:
            fill(file)
            file.sync()
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def write_aside(path: Path, content: bytes) -> None:
    """Whoever opens ``path`` meanwhile sees the old file or the new one, whole; a power cut may take both."""
    part = _aside(path)
    part.write_bytes(content)
    part.replace(path)


def remove_partials(folder: Path) -> None:
    """Take away what a process that was killed while it wrote has left behind."""
    for part in folder.glob(".*.partial"):
        part.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make ``folder`` unless it is there; its name and its parent's are on the disk then. Raises OSError."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _sync(folder.parent)
        _sync(folder.parent.parent)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
