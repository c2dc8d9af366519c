"""The table of epochs that stays on a terminal. It fits 80 columns."""

from dataclasses import dataclass

from tqdm import tqdm

from lib.evaluation.metrics import Metrics

# Errors are top-1 unless the column says otherwise.
_COLUMNS = (
    ("epoch", 7),
    ("loss", 8),
    ("error %", 8),
    ("loss", 9),
    ("error %", 8),
    ("top-5 %", 8),
    ("rate", 9),
    ("images/s", 9),
    ("time", 8),
)
# Groups the columns: loss and error of training, loss and errors of validation.
_GROUPS = f"{'':8}{' training ':-^15}  {' validation ':-^23}"
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


def header() -> list[str]:
    """Return the two lines above the rows."""
    return [_GROUPS, "".join(f"{name:>{width}}" for name, width in _COLUMNS)]


def line(row: EpochRow, n_epochs: int) -> str:
    """Return a row as text, without the mark of the best epoch."""
    cells = (
        f"{row.epoch}/{n_epochs}",
        f"{row.training.loss:.4f}",
        f"{100 * row.training.top1_error:.2f}",
        f"{row.validation.loss:.4f}",
        f"{100 * row.validation.top1_error:.2f}",
        f"{100 * row.validation.top5_error:.2f}",
        f"{row.learning_rate:.3g}",
        f"{row.images_per_s:,.0f}",
        tqdm.format_interval(row.seconds),
    )
    return "".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=True))
