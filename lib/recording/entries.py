"""``metrics.jsonl`` as it is read again: line by line, damaged ones left out."""

import json
import math
from pathlib import Path
from typing import Literal

import msgspec


class MetricsEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ``metrics.jsonl``, as far as this program reads it again."""

    kind: Literal["train", "val", "val_subset"]
    epoch: int
    """from 1"""
    iteration: int
    loss: float
    top1_error: float
    top5_error: float
    images: int
    learning_rate: float = 0.0
    images_per_s: float = 0.0
    wait: float = 0.0
    compute: float = 0.0
    exchange: float = 0.0

    @property
    def position(self) -> tuple[int, float]:
        """Epoch (from 0) and iteration.

        Validation comes after every iteration, that of a subset after the iterations that it names: a checkpoint
        made there is made before it.
        """
        after = {"train": 0.0, "val_subset": 0.5, "val": math.inf}
        return self.epoch - 1, self.iteration + after[self.kind]

    @property
    def sums(self) -> list[float]:
        """As ``PendingMetrics.take`` gives them, over all workers."""
        means = (self.loss, self.top1_error, self.top5_error)
        return [*(mean * self.images for mean in means), float(self.images)]

    @property
    def seconds(self) -> float:
        """How long the training took that this is of, by the clock."""
        return self.images / self.images_per_s if self.images_per_s else 0.0


def read_lines(path: Path) -> list[tuple[MetricsEntry | None, bytes]]:
    """Each line, and what it says if it is whole. Nothing where there is no file."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    return [(_entry(line), line) for line in lines if line]


def read_entries(path: Path) -> list[MetricsEntry]:
    """What the whole lines say."""
    return [entry for entry, _ in read_lines(path) if entry]


def _entry(line: bytes) -> MetricsEntry | None:
    """What a line says, if it is whole."""
    try:
        return msgspec.convert(json.loads(line), MetricsEntry)
    except (ValueError, RecursionError):  # neither text, nor JSON, nor (msgspec's error is a ValueError) an entry
        return None
