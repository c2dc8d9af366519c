"""Read ``metrics.jsonl`` line by line. Damaged lines are skipped."""

import json
import math
from pathlib import Path

import msgspec

from lib.types import Phase

_ALWAYS = {"loss", "top1_error", "top5_error", "images"}


class MetricsEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``metrics.jsonl``."""

    kind: Phase
    epoch: int
    """from 1"""
    iteration: int
    """iterations of the epoch that were done"""
    values: dict[str, float]
    """all other keys: see ``lib.recording.metric_table``"""

    def __post_init__(self) -> None:
        if not self.values.keys() >= _ALWAYS:
            raise ValueError(f"an entry needs {', '.join(sorted(_ALWAYS))}")

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
        return self.values["images"] / images_per_s if images_per_s else 0.0


def read_lines(path: Path) -> list[tuple[MetricsEntry | None, bytes]]:
    """Return each line with its entry, None if the line is damaged. A missing file has no lines."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    return [(_entry(line), line) for line in lines if line]


def read_entries(path: Path) -> list[MetricsEntry]:
    """Return the entries of all lines that are not damaged."""
    return [entry for entry, _ in read_lines(path) if entry]


def _entry(line: bytes) -> MetricsEntry | None:
    try:
        tree = json.loads(line)
        head = {key: tree.pop(key) for key in ("kind", "epoch", "iteration")}
        # Skip keys that are not numbers: another version may have written them.
        values = {key: value for key, value in tree.items() if isinstance(value, int | float)}
        return msgspec.convert(head | {"values": values}, MetricsEntry)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):  # msgspec's error is a ValueError
        return None
