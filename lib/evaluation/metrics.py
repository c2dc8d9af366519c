"""Loss and errors: exact sums on the device, and the means that follow from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Metrics:
    """Means over ``images`` images; errors are fractions."""

    loss: float
    top1_error: float
    top5_error: float
    images: int

    @classmethod
    def of(cls, sums: Sequence[float]) -> "Metrics":
        """From what ``PendingMetrics.take`` gives, added up over all workers."""
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

    def accumulators(self) -> tuple[Tensor, Tensor]:
        """Where it adds up, for kernels that do it themselves: the four sums and the first bad iteration."""
        return self._sums, self._bad_at

    def reset(self) -> None:
        """Forget everything."""
        self._sums.zero_()
        self._bad_at.fill_(math.inf)

    def note(self) -> "PendingMetrics":
        """What was counted since the last time, once the device has counted it; does not wait for that."""
        numbers = torch.cat([self._sums, self._bad_at[None]])
        self._sums.zero_()
        if numbers.device.type != "cuda":
            return PendingMetrics(numbers, None)
        here = numbers.to("cpu", non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        return PendingMetrics(here, arrived)

    def take(self) -> tuple[list[float], float]:
        """``note``, and ``take`` of that: waits for the device."""
        return self.note().take()


class PendingMetrics(NamedTuple):
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
    """For each k, how many images do not have their label among the k highest logits (see ``label_ranks``)."""
    ranks_B = label_ranks(logits_BK, labels_B)
    return [(ranks_B >= k).sum() for k in ks]


def label_ranks(logits_BK: Tensor, labels_B: Tensor) -> Tensor:
    """The place (B,) of each label's logit among all: 0 is the highest.

    Of equal logits the lower class comes first, as with argmax; a label whose logit is NaN comes after all.
    """
    labels_B1 = labels_B[:, None]
    own_B1 = logits_BK.gather(1, labels_B1)
    classes_K = torch.arange(logits_BK.shape[1], device=logits_BK.device)
    ahead_BK = (logits_BK > own_B1) | ((logits_BK == own_B1) & (classes_K < labels_B1))
    return torch.where(own_B1.squeeze(1).isnan(), logits_BK.shape[1], ahead_BK.sum(1))
