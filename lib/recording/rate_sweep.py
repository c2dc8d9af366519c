"""A sweep over learning rates: which rates, what their losses suggest, and a picture of them.

The method is that of L. N. Smith, arXiv:1506.01186, as torch-lr-finder has it: the rate grows exponentially, one update
at each, until the loss diverges; suggested is the rate at which the smoothed loss falls most steeply.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..system.atomic_write import replace_file

STEPS = 100
_LOWEST, _HIGHEST = 1e-6, 10.0
# A loss this many times the best so far has diverged.
_DIVERGED = 4.0
# Updates on either side that smoothing reaches. It is centred, so that it moves no slope to higher rates.
_REACH = 6


def sweep_rates() -> NDArray[np.float64]:
    """Return the learning rates of the sweep (STEPS,), rising."""
    return np.geomspace(_LOWEST, _HIGHEST, STEPS)


def has_diverged(losses: Sequence[float]) -> bool:
    """Return whether the last of ``losses`` is not finite, or far above the best."""
    return not np.isfinite(losses[-1]) or losses[-1] > _DIVERGED * min(losses)


@dataclass(frozen=True)
class Sweep:
    """The loss after the updates before, at each of the first n rates."""

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]

    @property
    def smoothed(self) -> NDArray[np.float64]:
        """The losses, averaged with triangular weights over their neighbours."""
        weights = np.convolve(np.ones(_REACH), np.ones(_REACH))
        inner = slice(_REACH - 1, _REACH - 1 + len(self.losses))
        total, of = (np.convolve(values, weights)[inner] for values in (self.losses, np.ones(len(self.losses))))
        return total / of

    @property
    def suggestion(self) -> float | None:
        """The rate at which the smoothed loss falls most steeply; None if it does not fall."""
        smoothed = self.smoothed
        lowest = int(smoothed.argmin())
        if lowest < 2 or smoothed[0] - smoothed[lowest] < 2 * float(np.std(self.losses[:lowest] - smoothed[:lowest])):
            return None
        slopes = np.gradient(smoothed[: lowest + 1])
        return float(self.rates[int(slopes.argmin())])

    def describe(self, recipe: float) -> str:
        """Return the suggestion as text. ``recipe`` is the learning rate that is configured."""
        rate = self.suggestion
        if rate is None:
            return f"the loss falls at no rate by more than its noise; the configured rate is {recipe:.3g}"
        lowest = self.rates[int(self.smoothed.argmin())]
        return (
            f"the loss falls most steeply at {rate:.2g} and is lowest at {lowest:.2g}; use --optimizer.learning_rate "
            f"{rate:.2g} (configured: {recipe:.3g})"
        )

    def draw(self, path: Path, recipe: float) -> None:
        """Write a picture of the sweep as PNG. Raises OSError."""
        from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import, and for this only)

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes: Any = figure.add_subplot()
        axes.plot(self.rates, self.losses, color="#2f86d6", alpha=0.35, linewidth=1, label="loss of each update")
        axes.plot(self.rates, self.smoothed, color="#2f86d6", linewidth=2.2, label="smoothed")
        if self.suggestion is not None:
            axes.axvline(self.suggestion, color="#e07b2a", label=f"steepest: {self.suggestion:.2g}")
        axes.axvline(recipe, color="#5d6570", linestyle="--", linewidth=1, label=f"configured: {recipe:.3g}")
        top = float(self.smoothed[0] + 0.5 * (self.smoothed[0] - self.smoothed.min()))
        axes.set(xscale="log", xlabel="learning rate", ylabel="training loss")
        axes.set_ylim(top=max(top, float(self.smoothed[0]) * 1.05))
        axes.legend()
        axes.grid(alpha=0.3)
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=140)
        replace_file(path, png.getvalue())
