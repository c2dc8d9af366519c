"""Record the finished batch files while a data set is being made, so that a killed run can continue."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from ..data.packed.manifest import BatchFile
from ..errors import DataError, reading
from ..types import Split


class Skipped(msgspec.Struct, frozen=True):
    """An image that was skipped, and the reason."""

    split: Split
    name: str
    reason: str


class Finished(msgspec.Struct, frozen=True):
    """A batch file that is on the disk, and the images skipped before its end."""

    split: Split
    file: BatchFile
    skipped: tuple[Skipped, ...]


class Journal:
    """One line for each finished file, in the order of the files. A context manager."""

    def __init__(self, path: Path) -> None:
        """Read the file, and remove a line that a killed run left incomplete."""
        self.finished: list[Finished] = []
        with reading(path, DataError, "delete it, and packing starts again"):
            self._file = path.open("a+b")
        self._file.seek(0)
        complete = 0
        for line in self._file:
            try:
                self.finished.append(msgspec.json.decode(line, type=Finished))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                break
            if not line.endswith(b"\n"):
                self.finished.pop()
                break
            complete += len(line)
        self._file.truncate(complete)

    def add(self, finished: Finished) -> None:
        """Record a finished file. The record is on the disk when this returns."""
        self.finished.append(finished)
        self._file.write(msgspec.json.encode(finished) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
