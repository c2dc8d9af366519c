"""The figures of a run: exact sums on the device, one JSON object a line on disk, and the ancestor's record."""

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.evaluation.metrics import Metrics
from lib.recording.entries import MetricsEntry, read_lines
from lib.system.atomic_write import atomic_write, write_aside
from lib.system.npy import bytes_of


class MetricsLog:
    """``metrics.jsonl``: one object a line, each written at once so that a reader sees whole lines."""

    damaged: int
    """lines that were left out because they are no whole entry"""
    taken_over: list[MetricsEntry]
    """what an earlier process wrote of the epoch in hand"""

    def __init__(self, path: Path, *, epoch: int, iteration: int) -> None:
        """Open to go on after ``iteration`` iterations of ``epoch`` (from 0): what lies beyond is dropped.

        So are damaged lines, at the end (the power went) or in the middle (the disk's doing): a training that is whole
        is not to end for figures that nothing depends on.
        """
        entries = read_lines(path)
        cached = [(entry, line) for entry, line in entries if entry and entry.position <= (epoch, iteration)]
        atomic_write(path, lambda file: file.write(b"".join(line + b"\n" for _, line in cached)))
        self.damaged = sum(entry is None for entry, _ in entries)
        self.taken_over = [entry for entry, _ in cached if entry.epoch == epoch + 1]
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def write(self, kind: str, epoch: int, iteration: int, figures: Metrics, more: Mapping[str, float]) -> None:
        """``kind`` is train, val or val_subset, ``epoch`` counts from 1, ``iteration`` is how many of it are done.

        Raises OSError where the disk does not take the whole line.
        """
        entry: dict[str, Any] = {"kind": kind, "epoch": epoch, "iteration": iteration}
        line = (json.dumps(entry | asdict(figures) | dict(more)) + "\n").encode()
        if os.write(self._descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def close(self) -> None:
        os.close(self._descriptor)


def write_val_record(path: Path, record: NDArray[np.float64]) -> None:
    """theano_alexnet's val_record.npy: (epochs, 2), validation top-1 error (a fraction) and loss of each epoch."""
    write_aside(path, bytes_of(record))
