"""Intervals of training, from one line of metrics to the next: their times, their sums, and advice on slow data."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from ..evaluation.metrics import Metrics
from .epoch_table import EpochRow

# Advise above this share of time spent waiting for data.
_MAX_WAIT = 0.10
# Judge at least this much time at once: shares of less are noise.
_MIN_JUDGED_S = 1.0


class IntervalTimer:
    """Measures how long an interval took and how much of that one worker spent waiting and exchanging, in seconds."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._waited_s = self._exchanged_s = 0.0

    def exclude(self, elapsed_s: float, waited_s: float) -> None:
        """Do not count ``elapsed_s`` seconds of this interval, ``waited_s`` of them spent waiting for data."""
        self._start += elapsed_s
        self._waited_s += waited_s

    def lap(self, waited_s: float, exchanged_s: float) -> tuple[float, float, float]:
        """Return (elapsed, waited, exchanged) of the interval that ends now. The arguments are totals of the run."""
        now = time.perf_counter()
        times = now - self._start, waited_s - self._waited_s, exchanged_s - self._exchanged_s
        self._start, self._waited_s, self._exchanged_s = now, waited_s, exchanged_s
        return times


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalMetrics:
    """The metrics of one interval, over all workers."""

    iteration: int
    """iterations of the epoch that were done at its end"""
    first_bad: float
    """the first iteration without a finite loss; infinity if there was none"""
    totals: Sequence[float]
    """the sums of ``PendingMetrics.take``"""
    seconds: float
    """wall-clock time, the mean over the workers"""
    values: dict[str, float]
    """what is recorded, by name: see ``lib.recording.metric_table``"""


def interval_values(totals: Sequence[float], times: Sequence[float], lr: float, world_size: int) -> dict[str, float]:
    """Return what is recorded of an interval. ``times`` are those of ``IntervalTimer.lap``, summed over all workers."""
    elapsed, waited, exchanged = times
    metrics = Metrics.of(totals)
    return asdict(metrics) | {
        "learning_rate": lr,
        "images_per_s": metrics.images * world_size / elapsed,
        "wait": waited / elapsed,
        "compute": (elapsed - waited - exchanged) / elapsed,
        "exchange": exchanged / elapsed,
    }


class EpochSums:
    """Adds up the intervals of one epoch's training.

    In a resumed epoch, the intervals before the resume come from ``metrics.jsonl``. If the earlier process was killed,
    what it trained between its last line there and its last checkpoint is missing.
    """

    def __init__(self) -> None:
        self._totals = [0.0, 0.0, 0.0, 0.0]
        self._lr = self._seconds = 0.0

    def add(self, totals: Sequence[float], lr: float, seconds: float) -> None:
        """Add one interval: ``PendingMetrics.take``'s sums over all workers, learning rate and wall-clock time."""
        self._totals = [a + b for a, b in zip(self._totals, totals, strict=True)]
        self._lr, self._seconds = lr, self._seconds + seconds

    def row(self, epoch: int, validation: Metrics, *, is_best: bool) -> EpochRow:
        """Return the row of ``epoch`` (from 1) in the table of epochs."""
        training = Metrics.of(self._totals)
        return EpochRow(
            epoch=epoch,
            training=training,
            validation=validation,
            learning_rate=self._lr,
            images_per_s=training.images / self._seconds if self._seconds else 0.0,
            seconds=self._seconds,
            is_best=is_best,
        )


class WaitAdvice:
    """Advises when trainers wait too long for data, once for each advice that there is."""

    def __init__(self, advice: Callable[[], str]) -> None:
        """``advice`` says what to change. It is called after each time that is judged, whether or not that was slow."""
        self._advice = advice
        self._intervals = 0
        self._waited_s = self._elapsed_s = 0.0
        self._given: set[str] = set()

    def after(self, wait: float, seconds: float) -> str:
        """Return advice after an interval of ``seconds`` of which the share ``wait`` was spent waiting, or "".

        The first interval fills the loader's slots and is not judged. Short intervals are judged together.

        >>> advice = WaitAdvice(lambda: "raise data.readers")
        >>> advice.after(0.5, 2), advice.after(0.05, 2), advice.after(0.5, 0.5)
        ('', '', '')
        >>> advice.after(0.5, 1.5)
        'waiting for data took 50 % of 2.0 s (1.0 s); raise data.readers'
        >>> advice.after(0.5, 2)
        ''
        """
        self._intervals += 1
        if self._intervals == 1:
            return ""
        waited, elapsed = self._waited_s + wait * seconds, self._elapsed_s + seconds
        self._waited_s, self._elapsed_s = (waited, elapsed) if elapsed < _MIN_JUDGED_S else (0.0, 0.0)
        if elapsed < _MIN_JUDGED_S:
            return ""
        advice = self._advice()
        if waited <= _MAX_WAIT * elapsed or advice in self._given:
            return ""
        self._given.add(advice)
        share = f"{100 * waited / elapsed:.0f} % of {elapsed:.1f} s ({waited:.1f} s)"
        return f"waiting for data took {share}; {advice}"
