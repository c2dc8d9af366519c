"""What is made of the figures of single intervals: an epoch's sums, and advice when data comes too slowly."""

from collections.abc import Sequence

from lib.evaluation.metrics import Metrics
from lib.recording.epoch_table import EpochRow

# Above this share of an interval, waiting for data is worth a word.
_TOO_MUCH = 0.10
# A share of less time than this means nothing.
_JUDGED_S = 1.0


class EpochSums:
    """Adds up the intervals of one epoch's training.

    Where the epoch was resumed, those before it come from ``metrics.jsonl``. What a process that was killed had trained
    between its last entry there and its last checkpoint is lacking, in the mean as in the time.
    """

    def __init__(self) -> None:
        self._totals = [0.0, 0.0, 0.0, 0.0]
        self._rate = self._seconds = 0.0

    def add(self, totals: Sequence[float], rate: float, seconds: float) -> None:
        """One interval: ``PendingMetrics.take``'s sums over all workers, learning rate and duration."""
        self._totals = [a + b for a, b in zip(self._totals, totals, strict=True)]
        self._rate, self._seconds = rate, self._seconds + seconds

    def row(self, epoch: int, validation: Metrics, *, is_best: bool) -> EpochRow:
        """The epoch (from 1) as a row of the table of epochs."""
        training = Metrics.of(self._totals)
        return EpochRow(
            epoch=epoch,
            training=training,
            validation=validation,
            learning_rate=self._rate,
            images_per_s=training.images / self._seconds if self._seconds else 0.0,
            seconds=self._seconds,
            is_best=is_best,
        )


class WaitAdvice:
    """Says once what to do when trainers wait too long for data."""

    def __init__(self, faster: str) -> None:
        """``faster``: what to change, as the source's kind knows it."""
        self._faster = faster
        self._intervals = 0
        self._waited_s = self._elapsed_s = 0.0
        self._said = False

    def after(self, waited_s: float, elapsed_s: float) -> str:
        """Advice after an interval with so much waiting in it, or nothing.

        The first interval fills the slots and is not judged; short ones are judged together.

        >>> advice = WaitAdvice("raise data.readers")
        >>> advice.after(1, 2), advice.after(0.1, 2), advice.after(0.5, 0.6)
        ('', '', '')
        >>> advice.after(0.5, 1.4)
        'waiting for data took 50 % of 2.0 s (1.0 s); raise data.readers'
        >>> advice.after(0.5, 2)
        ''
        """
        self._intervals += 1
        if self._said or self._intervals == 1:
            return ""
        waited, elapsed = self._waited_s + waited_s, self._elapsed_s + elapsed_s
        self._waited_s, self._elapsed_s = (waited, elapsed) if elapsed < _JUDGED_S else (0.0, 0.0)
        if elapsed < _JUDGED_S or waited <= _TOO_MUCH * elapsed:
            return ""
        self._said = True
        share = f"{100 * waited / elapsed:.0f} % of {elapsed:.1f} s ({waited:.1f} s)"
        return f"waiting for data took {share}; {self._faster}"
