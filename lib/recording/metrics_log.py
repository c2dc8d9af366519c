"""Write ``metrics.jsonl``, one JSON object a line, and theano_alexnet's ``val_record.npy``."""

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lib.recording.entries import MetricsEntry, read_lines
from lib.system.atomic_write import atomic_write, replace_file
from lib.system.npy import to_npy_bytes
from lib.types import Phase


class MetricsLog:
    """``metrics.jsonl``. Each line is written in one call, so that a reader sees whole lines."""

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
