"""What is finished while a data set is being made, so that a killed run can go on."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from lib.data.packed.layout import BatchFile
from lib.types import Split


class Skipped(msgspec.Struct, frozen=True):
    """A picture that was left out, and why."""

    split: Split
    name: str
    reason: str


class Finished(msgspec.Struct, frozen=True):
    """One batch file that is on the disk, and the pictures left out on the way to it."""

    split: Split
    file: BatchFile
    skipped: tuple[Skipped, ...]


class Journal:
    """One line for each finished file, in the order of the files. Use it in a ``with``."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a line that a killed run left unfinished is cut away."""
        self.finished: list[Finished] = []
        self._file = path.open("a+b")
        self._file.seek(0)
        whole = 0
        for line in self._file:
            try:
                self.finished.append(msgspec.json.decode(line, type=Finished))
            except msgspec.MsgspecError:
                break
            if not line.endswith(b"\n"):
                self.finished.pop()
                break
            whole += len(line)
        self._file.truncate(whole)

    def add(self, finished: Finished) -> None:
        """Note a finished file; on the disk when this returns."""
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
