"""The table of epochs that stays on a terminal: 80 columns, with the mark of the best."""

from dataclasses import dataclass

from lib.evaluation.metrics import Metrics
from lib.recording.eta import clock_time

# Errors are of the first guess, where no other is named.
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
# Above the columns: training's loss and error, validation's loss and errors.
_GROUPS = f"{'':8}{' training ':-^15}  {' validation ':-^23}"
BEST = " best"


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """An epoch that is done, as a row of the table."""

    epoch: int
    training: Metrics
    validation: Metrics
    learning_rate: float
    images_per_s: float
    seconds: float
    is_best: bool


def header() -> list[str]:
    """Two lines, to stand above the rows."""
    return [_GROUPS, "".join(f"{name:>{width}}" for name, width in _COLUMNS)]


def line(row: EpochRow, n_epochs: int) -> str:
    """A row as text, without its mark if it is the best."""
    values = (
        f"{row.epoch}/{n_epochs}",
        f"{row.training.loss:.4f}",
        f"{100 * row.training.top1_error:.2f}",
        f"{row.validation.loss:.4f}",
        f"{100 * row.validation.top1_error:.2f}",
        f"{100 * row.validation.top5_error:.2f}",
        f"{row.learning_rate:.3g}",
        f"{row.images_per_s:,.0f}",
        clock_time(row.seconds),
    )
    return "".join(f"{value:>{width}}" for value, (_, width) in zip(values, _COLUMNS, strict=True))
