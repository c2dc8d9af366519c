"""The table of epochs that stays on a terminal. It fits 80 columns."""

from dataclasses import dataclass

from tqdm import tqdm

from ..evaluation.metrics import Metrics

# In per cent; errors and accuracy are top-1, the last column of the three is the top-5 error.
HEADER = (
    "        - training --  ------ validation ------",
    "  epoch    loss  err.%    loss  err.% acc.% top-5     rate   img/s    time",
)
BEST = " best"


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """A finished epoch, as a row of the table."""

    epoch: int
    training: Metrics
    validation: Metrics
    learning_rate: float
    images_per_s: float
    seconds: float
    is_best: bool

    def line(self, n_epochs: int) -> str:
        """Return the row as text, without the mark of the best epoch."""
        epoch, training, validation = f"{self.epoch}/{n_epochs}", self.training, self.validation
        error = 100 * validation.top1_error
        return (
            f"{epoch:>7}{_loss(training.loss):>8}{100 * training.top1_error:7.2f}"
            f"{_loss(validation.loss):>8}{error:7.2f}{100 - error:6.1f}{100 * validation.top5_error:6.1f}"
            f"{self.learning_rate:9.3g}{self.images_per_s:8,.0f}{tqdm.format_interval(self.seconds):>8}"
        )


def _loss(value: float) -> str:
    """Return a loss in at most 7 characters: the first epochs of a high learning rate reach thousands.

    >>> [_loss(value) for value in (2.30258, 85689.251, 1e9, float("nan"))]
    ['2.3026', '85689.3', '1.0e+09', 'nan']
    """
    if value < 99.9999:
        return f"{value:.4f}"
    return f"{value:.1f}" if value < 99999.9 else f"{value:.1e}"
