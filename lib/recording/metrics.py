"""The figures of a run: exact sums on the device, one JSON object a line on disk, and the ancestor's record."""

import errno
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib.machine.durable import write_aside, write_whole
from lib.machine.npy import bytes_of
from lib.recording.entries import Entry, read_lines


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over ``images`` images; errors are fractions."""

    loss: float
    top1_error: float
    top5_error: float
    images: int

    @classmethod
    def of(cls, sums: Sequence[float]) -> "Figures":
        """From what ``Noted.take`` gives, added up over all workers."""
        loss, wrong1, wrong5, images = sums
        n = max(images, 1.0)
        return cls(loss / n, wrong1 / n, wrong5 / n, int(images))


class Meter:
    """Adds up loss and errors on the device, in float64: reading them, not adding, waits for the GPU."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(4, dtype=torch.float64, device=device)
        self._bad_at = torch.full((), math.inf, dtype=torch.float64, device=device)

    def add(self, logits_BK: Tensor, labels_B: Tensor, loss_sum: Tensor, iteration: int) -> None:
        """Count one batch, whose losses add up to ``loss_sum``."""
        wrong1, wrong5 = wrong_top_k(logits_BK, labels_B, (1, 5))
        loss = loss_sum.detach().double()
        images = torch.full_like(loss, len(labels_B))
        self._sums += torch.stack([loss, wrong1.double(), wrong5.double(), images])
        # Remember the first iteration whose loss was no number, without asking the device for it now.
        bad_now = torch.where(loss.isfinite(), math.inf, float(iteration))
        torch.minimum(self._bad_at, bad_now, out=self._bad_at)

    def places(self) -> tuple[Tensor, Tensor]:
        """Where it adds up, for kernels that do it themselves: the four sums and the first bad iteration."""
        return self._sums, self._bad_at

    def reset(self) -> None:
        """Forget everything."""
        self._sums.zero_()
        self._bad_at.fill_(math.inf)

    def note(self) -> "Noted":
        """What was counted since the last time, once the device has counted it; does not wait for that."""
        numbers = torch.cat([self._sums, self._bad_at[None]])
        self._sums.zero_()
        if numbers.device.type != "cuda":
            return Noted(numbers, None)
        here = numbers.to("cpu", non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        return Noted(here, arrived)

    def take(self) -> tuple[list[float], float]:
        """``note``, and ``take`` of that: waits for the device."""
        return self.note().take()


class Noted(NamedTuple):
    """What a meter had counted at some point of the device's work."""

    numbers: Tensor
    arrived: torch.cuda.Event | None

    def take(self) -> tuple[list[float], float]:
        """The sums (loss, wrong top-1, wrong top-5, images), and the first iteration without a finite loss (infinity
        if there was none). Waits for the device to have come to that point.
        """
        if self.arrived:
            self.arrived.synchronize()
        *sums, bad_at = self.numbers.tolist()
        return sums, bad_at


def wrong_top_k(logits_BK: Tensor, labels_B: Tensor, ks: Sequence[int]) -> list[Tensor]:
    """For each k, how many images do not have their label among the k highest logits (see ``places``)."""
    places_B = places(logits_BK, labels_B)
    return [(places_B >= k).sum() for k in ks]


def places(logits_BK: Tensor, labels_B: Tensor) -> Tensor:
    """The place (B,) of each label's logit among all: 0 is the highest.

    Of equal logits the lower class comes first, as with argmax; a label whose logit is NaN comes after all.
    """
    labels_B1 = labels_B[:, None]
    own_B1 = logits_BK.gather(1, labels_B1)
    classes_K = torch.arange(logits_BK.shape[1], device=logits_BK.device)
    ahead_BK = (logits_BK > own_B1) | ((logits_BK == own_B1) & (classes_K < labels_B1))
    return torch.where(own_B1.squeeze(1).isnan(), logits_BK.shape[1], ahead_BK.sum(1))


class MetricsLog:
    """``metrics.jsonl``: one object a line, each written at once so that a reader sees whole lines."""

    damaged: int
    """lines that were left out because they are no whole entry"""
    taken_over: list[Entry]
    """what an earlier process wrote of the epoch in hand"""

    def __init__(self, path: Path, *, epoch: int, iteration: int) -> None:
        """Open to go on after ``iteration`` iterations of ``epoch`` (from 0): what lies beyond is dropped.

        So are damaged lines, at the end (the power went) or in the middle (the disk's doing): a training that is whole
        is not to end for figures that nothing depends on.
        """
        entries = read_lines(path)
        kept = [(entry, line) for entry, line in entries if entry and entry.position <= (epoch, iteration)]
        write_whole(path, lambda file: file.write(b"".join(line + b"\n" for _, line in kept)))
        self.damaged = sum(entry is None for entry, _ in entries)
        self.taken_over = [entry for entry, _ in kept if entry.epoch == epoch + 1]
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def write(self, kind: str, epoch: int, iteration: int, figures: Figures, more: Mapping[str, float]) -> None:
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
