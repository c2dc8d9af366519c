"""Write and read ``metrics.jsonl``, one JSON object a line; write theano_alexnet's ``val_record.npy``."""

import errno
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..system.atomic_write import atomic_write, replace_file
from ..system.npy import to_npy_bytes
from ..types import Phase


class MetricsEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``metrics.jsonl``."""

    kind: Phase
    epoch: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    """from 1"""
    iteration: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    """iterations of the epoch that were done"""
    values: dict[str, float]
    """all other keys: see ``lib.recording.metric_table``"""

    def __post_init__(self) -> None:
        if not self.values.keys() >= {"loss", "top1_error", "top5_error", "images"}:
            raise ValueError("an entry needs loss, top1_error, top5_error and images")
        if not 0 <= self.values["images"] < 2**53:
            raise ValueError("the number of images is not that of an interval")

    @property
    def position(self) -> tuple[int, float]:
        """Epoch (from 0) and iteration, comparable with those of a checkpoint.

        Validation follows all iterations. That of a subset follows the iterations that it names, and a checkpoint made
        there is made before it.
        """
        after = {"train": 0.0, "val_subset": 0.5, "val": math.inf}
        return self.epoch - 1, self.iteration + after[self.kind]

    @property
    def sums(self) -> list[float]:
        """The sums of ``PendingMetrics.take`` over all workers."""
        images = self.values["images"]
        return [*(self.values[name] * images for name in ("loss", "top1_error", "top5_error")), float(images)]

    @property
    def seconds(self) -> float:
        """Wall-clock time of the interval; 0 if its speed was not recorded."""
        images_per_s = self.values.get("images_per_s", 0.0)
        seconds = self.values["images"] / images_per_s if images_per_s else 0.0
        return seconds if math.isfinite(seconds) else 0.0


def read_lines(path: Path) -> list[tuple[MetricsEntry | None, bytes]]:
    """Return each line with its entry, None if the line is damaged. A missing file has no lines."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    return [(_entry(line), line) for line in lines if line]


def _entry(line: bytes) -> MetricsEntry | None:
    try:
        tree = json.loads(line)
        head = {key: tree.pop(key) for key in ("kind", "epoch", "iteration")}
        # Skip keys that are not numbers: another version may have written them.
        values = {key: float(value) for key, value in tree.items() if isinstance(value, int | float)}
        return msgspec.convert(head | {"values": values}, MetricsEntry)
    except (
        ValueError,
        RecursionError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
    ):  # msgspec's error is a ValueError
        return None


class MetricsLog:
    """Writes ``metrics.jsonl``. Each line is written in one call, so that a reader sees whole lines."""

    damaged: int
    """number of damaged lines that were dropped"""
    current_epoch: list[MetricsEntry]
    """the entries that an earlier process wrote for the epoch that is resumed"""

    def __init__(self, path: Path, *, epoch: int, iteration: int) -> None:
        """Open the file to continue after ``iteration`` iterations of ``epoch`` (from 0). Later lines are dropped.

        Damaged lines are dropped too, at the end (power loss) or in the middle (a disk error): nothing depends on them,
        so they must not end a training.
        """
        entries = read_lines(path)
        kept = [(entry, line) for entry, line in entries if entry and entry.position <= (epoch, iteration)]
        atomic_write(path, lambda file: file.write(b"".join(line + b"\n" for _, line in kept)))
        self.damaged = sum(entry is None for entry, _ in entries)
        self.current_epoch = [entry for entry, _ in kept if entry.epoch == epoch + 1]
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def write(self, kind: Phase, epoch: int, iteration: int, values: Mapping[str, float]) -> None:
        """Append a line. ``epoch`` counts from 1; ``iteration`` is the number of its iterations that are done.

        Raises OSError if the disk does not take the whole line.
        """
        entry = {"kind": kind, "epoch": epoch, "iteration": iteration, **values}
        line = (json.dumps(entry) + "\n").encode()
        if os.write(self._descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def close(self) -> None:
        os.close(self._descriptor)


def write_val_record(path: Path, record: NDArray[np.float64]) -> None:
    """Write theano_alexnet's val_record.npy, (epochs, 2): each epoch's validation top-1 error, a fraction, and loss."""
    replace_file(path, to_npy_bytes(record))
