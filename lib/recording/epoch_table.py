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
        accuracy = 100 - 100 * validation.top1_error
        return (
            f"{epoch:>7}{training.loss:8.4f}{100 * training.top1_error:7.2f}"
            f"{validation.loss:8.4f}{100 * validation.top1_error:7.2f}{accuracy:6.1f}{100 * validation.top5_error:6.1f}"
            f"{self.learning_rate:9.3g}{self.images_per_s:8,.0f}{tqdm.format_interval(self.seconds):>8}"
        )
