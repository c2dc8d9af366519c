"""The figures of each epoch, for the table of the page."""

from dataclasses import dataclass

from ..evaluation.metrics import Metrics
from ..recording.metrics_log import MetricsEntry
from .runs import Run


@dataclass(frozen=True, kw_only=True)
class EpochFigures:
    """A validated epoch. ``training`` is None if its lines are gone."""

    epoch: int
    training: Metrics | None
    validation: MetricsEntry
    learning_rate: float | None
    images_per_s: float | None
    seconds: float
    is_best: bool


def epoch_figures(run: Run) -> list[EpochFigures]:
    """Return the figures of each validated epoch, in order."""
    of_epoch: dict[int, list[MetricsEntry]] = {}
    for entry in run.train:
        of_epoch.setdefault(entry.epoch, []).append(entry)
    rows = []
    for validation in run.val:
        entries = of_epoch.get(validation.epoch, [])
        sums = [sum(column) for column in zip(*(entry.sums for entry in entries), strict=True)]
        seconds = sum(entry.seconds for entry in entries)
        training = Metrics.of(sums) if sums else None
        rows.append(
            EpochFigures(
                epoch=validation.epoch,
                training=training,
                validation=validation,
                learning_rate=entries[-1].values.get("learning_rate") if entries else None,
                images_per_s=training.images / seconds if training and seconds else None,
                seconds=seconds,
                is_best=validation is run.best,
            )
        )
    return rows
