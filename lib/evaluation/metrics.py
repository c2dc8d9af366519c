"""Loss and top-k errors: exact sums on the device, and the means computed from them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
        """Return the means for the sums of ``PendingMetrics.take``, added up over all workers."""
        loss, wrong1, wrong5, images = sums
        n = max(images, 1.0)
        return cls(loss / n, wrong1 / n, wrong5 / n, int(images))


class Meter:
    """Accumulates loss and errors on the device in float64. Adding never waits for the GPU; reading does."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(4, dtype=torch.float64, device=device)
        self._bad_at = torch.full((), math.inf, dtype=torch.float64, device=device)
        self._logged: dict[str, Tensor] = {}  # name: [sum, count]

    def add(self, logits_BK: Tensor, labels_B: Tensor, loss_sum: Tensor, iteration: int) -> None:
        """Count one batch. ``loss_sum`` is the sum of its losses."""
        ranks_B, loss = label_ranks(logits_BK, labels_B), loss_sum.detach().double()
        wrong1, wrong5 = ((ranks_B >= k).sum().double() for k in (1, 5))
        self._sums += torch.stack([loss, wrong1, wrong5, torch.full_like(loss, len(labels_B))])
        # Remember the first iteration whose loss is NaN or infinite, without reading it from the device now.
        bad_now = torch.where(loss.isfinite(), math.inf, float(iteration))
        torch.minimum(self._bad_at, bad_now, out=self._bad_at)

    def log(self, name: str, value: Tensor | float) -> None:
        """Add one value of the metric ``name``, a row of ``lib.recording.metric_table``. Its interval gets the mean."""
        if name not in self._logged:
            self._logged[name] = torch.zeros_like(self._sums[:2])
        sum_and_count = self._logged[name]
        sum_and_count[0] += value
        sum_and_count[1] += 1

    def accumulators(self) -> tuple[Tensor, Tensor]:
        """Return the four sums and the first bad iteration, for kernels that accumulate into them."""
        return self._sums, self._bad_at

    def so_far(self) -> dict[str, float]:
        """Return loss and errors of what was counted since the last ``note``, by name. Waits for the device."""
        return asdict(Metrics.of(self._sums.tolist()))

    def reset(self) -> None:
        """Discard everything that was counted."""
        for sums in (self._sums, *self._logged.values()):
            sums.zero_()
        self._bad_at.fill_(math.inf)

    def counted(self) -> dict[str, Tensor]:
        """Return a copy of what was counted, for ``restore``."""
        return {name: value.clone() for name, value in self._accumulators().items()}

    def restore(self, counted: Mapping[str, Tensor]) -> None:
        """Discard what was counted since ``counted`` was returned."""
        self.reset()
        for name, value in counted.items():
            self._accumulators()[name].copy_(value)

    def _accumulators(self) -> dict[str, Tensor]:
        logged = {f"logged {name}": value for name, value in self._logged.items()}
        return {"sums": self._sums, "bad_at": self._bad_at} | logged

    def note(self) -> "PendingMetrics":
        """Return what was counted since the last call, without waiting for the device."""
        numbers = torch.cat([self._sums, self._bad_at[None], *self._logged.values()])
        self.reset()
        if numbers.device.type != "cuda":
            return PendingMetrics(numbers, tuple(self._logged), None)
        on_host = numbers.to("cpu", non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()
        return PendingMetrics(on_host, tuple(self._logged), copied)

    def take(self) -> tuple[list[float], float]:
        """Return ``note().take()``. Waits for the device."""
        return self.note().take()


class PendingMetrics(NamedTuple):
    """What a meter has counted up to some point of the device's work. The device may not have reached it yet."""

    numbers: Tensor
    logged: tuple[str, ...]
    copied: torch.cuda.Event | None

    def take(self) -> tuple[list[float], float]:
        """Return the sums (loss, wrong top-1, wrong top-5, images) and the first iteration without a finite loss.

        The iteration is infinity if all losses were finite. Waits for the device.
        """
        *sums, bad_at = self._read()[:5]
        return sums, bad_at

    def means(self) -> dict[str, float]:
        """Return the mean of each metric that ``Meter.log`` was given. Waits for the device."""
        sums, counts = self._read()[5::2], self._read()[6::2]
        return {name: s / n for name, s, n in zip(self.logged, sums, counts, strict=True) if n}

    def _read(self) -> list[float]:
        if self.copied:
            self.copied.synchronize()
        numbers: list[float] = self.numbers.tolist()
        return numbers


def label_ranks(logits_BK: Tensor, labels_B: Tensor) -> Tensor:
    """Return the rank (B,) of each label's logit; 0 is the highest.

    Of equal logits the lower class comes first, as with argmax. A label whose logit is NaN ranks last.
    """
    labels_B1 = labels_B[:, None]
    own_B1 = logits_BK.gather(1, labels_B1)
    classes_K = torch.arange(logits_BK.shape[1], device=logits_BK.device)
    ahead_BK = (logits_BK > own_B1) | ((logits_BK == own_B1) & (classes_K < labels_B1))
    return torch.where(own_B1.squeeze(1).isnan(), logits_BK.shape[1], ahead_BK.sum(1))
