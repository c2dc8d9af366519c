"""What is made of the figures of single intervals: an epoch's sums, and advice when data comes too slowly."""

from collections.abc import Sequence

from lib.console import EpochRow
from lib.metrics import Figures

# Above this share of an interval, waiting for data is worth a word.
_TOO_MUCH = 0.10


class EpochSums:
    """Adds up the intervals of one epoch's training."""

    def __init__(self) -> None:
        self._totals = [0.0, 0.0, 0.0, 0.0]
        self._rate = self._seconds = 0.0

    def add(self, totals: Sequence[float], rate: float, seconds: float) -> None:
        """One interval: ``Meter.take``'s sums over all workers, learning rate and duration."""
        self._totals = [a + b for a, b in zip(self._totals, totals, strict=True)]
        self._rate, self._seconds = rate, self._seconds + seconds

    def row(self, epoch: int, validation: Figures, *, is_best: bool) -> EpochRow:
        """The epoch (from 1) as a row of the table of epochs."""
        training = Figures.of(self._totals)
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

    def __init__(self) -> None:
        self._intervals = 0
        self._said = False

    def after(self, share: float, waited_s: float, elapsed_s: float) -> str:
        """Advice after an interval with this share of waiting, or nothing.

        The first interval fills the slots and is not judged.

        >>> advice = WaitAdvice()
        >>> advice.after(0.5, 1, 2), advice.after(0.05, 0.1, 2)
        ('', '')
        >>> advice.after(0.25, 0.5, 2)[:67]
        'waiting for data took 25 % of the last interval (0.50 s of 2.00 s);'
        >>> advice.after(0.25, 0.5, 2)
        ''
        """
        self._intervals += 1
        if self._said or self._intervals == 1 or share <= _TOO_MUCH:
            return ""
        self._said = True
        return (
            f"waiting for data took {100 * share:.0f} % of the last interval ({waited_s:.2f} s of {elapsed_s:.2f} s); "
            "raise data.readers, then data.slots, or put data.dir on a faster disk (python -m lib.doctor measures it)"
        )
