"""One turn of a benchmark of feeds: read images for a while."""

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.feeding import Feeding
from benchmarks.ours import synchronize
from benchmarks.packed import drop_from_cache
from benchmarks.processes import resident_bytes
from benchmarks.watched import family_cpu_seconds


class Loader:
    """The loader of this project, and the resources that its process uses while it is measured."""

    def __init__(self, feeding: Feeding) -> None:
        self._feeding = feeding
        self._cpu_s = self._elapsed_s = 0.0

    def drain(self) -> None:
        """Take the batches that are ready ahead, which would cost no time."""
        for _ in range(self._feeding.slots):
            next(self._feeding.feed)

    def images(self) -> Iterable[Tensor]:
        """Yield batches without end."""
        start, cpu_start = time.perf_counter(), family_cpu_seconds(self._feeding.pid)
        try:
            for batch in self._feeding.feed:
                yield batch.images_BHWC
        finally:
            self._cpu_s += family_cpu_seconds(self._feeding.pid) - cpu_start
            self._elapsed_s += time.perf_counter() - start

    def notes(self) -> dict[str, float]:
        """Return the cores and the memory that it uses."""
        memory = resident_bytes(self._feeding.pid)
        return {
            "cores that the loader keeps busy": self._cpu_s / self._elapsed_s,
            "MB of the loader's own memory": memory["anonymous"] / 1e6,
            "MB of its slots": memory["shared"] / 1e6,
        }


def turn(
    batches: Callable[[], Iterable[Tensor]],
    *,
    arguments: argparse.Namespace,
    folder: Path,
    device: torch.device,
    before: Callable[[], None] = lambda: None,
) -> float:
    """Read ``--images`` images. Returns images a second."""
    if arguments.cold:
        drop_from_cache(folder)  # before draining: the batches that follow are read at once
    before()
    synchronize(device)
    start, count = time.perf_counter(), 0
    for images_BHWC in batches():
        count += len(images_BHWC)
        if count >= arguments.images:
            break
    synchronize(device)
    return count / (time.perf_counter() - start)
