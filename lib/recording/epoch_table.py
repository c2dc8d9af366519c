"""The table of epochs that stays on a terminal. It fits 80 columns."""

from dataclasses import dataclass

from tqdm import tqdm

from ..evaluation.metrics import Metrics

# Errors are top-1 unless the column says otherwise.
HEADER = (
    "        -- training ---  ----- validation ------",
    "  epoch    loss error %     loss error % top-5 %     rate images/s    time",
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
        return (
            f"{epoch:>7}{training.loss:8.4f}{100 * training.top1_error:8.2f}"
            f"{validation.loss:9.4f}{100 * validation.top1_error:8.2f}{100 * validation.top5_error:8.2f}"
            f"{self.learning_rate:9.3g}{self.images_per_s:9,.0f}{tqdm.format_interval(self.seconds):>8}"
        )
