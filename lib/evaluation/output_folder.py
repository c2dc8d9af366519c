"""Write an evaluation into a folder.

figures.json     loss, top1_error, top5_error, images, mean_average_precision, crops, checkpoint
classes.csv      index, folder, name, images, top1_error, top5_error, average_precision of each class
confusion.csv    one row for each true class, one column for each predicted class
confusion.png    the same as an image
"""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.errors import ConfigError
from lib.evaluation.class_metrics import ClassMetrics
from lib.evaluation.confusion_image import draw_confusion
from lib.evaluation.metrics import Metrics


def write_evaluation(
    folder: Path,
    metrics: Metrics,
    classes: ClassMetrics,
    confusion: NDArray[np.int64],
    names: Sequence[tuple[str, str]],
    facts: dict[str, Any],
) -> None:
    """Write all four files. ``names`` are folder and readable name of each class; ``facts`` go into figures.json.

    Raises ConfigError if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        figures = asdict(metrics) | {"mean_average_precision": classes.mean_average_precision} | facts
        (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        _write_csv(folder / "classes.csv", _class_rows(classes, names))
        _write_csv(folder / "confusion.csv", _confusion_rows(confusion, names))
        draw_confusion(confusion, [name or wnid for wnid, name in names]).save(folder / "confusion.png")
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder}: {error.strerror or error}; name another folder with --out"
        ) from None


def _class_rows(classes: ClassMetrics, names: Sequence[tuple[str, str]]) -> Iterable[Sequence[Any]]:
    yield "index", "folder", "name", "images", "top1_error", "top5_error", "average_precision"
    columns = classes.images, classes.top1_error, classes.top5_error, classes.average_precision
    for index, ((wnid, name), images, *values) in enumerate(zip(names, *columns, strict=True)):
        yield index, wnid, name, images, *("" if math.isnan(value) else float(value) for value in values)


def _confusion_rows(confusion: NDArray[np.int64], names: Sequence[tuple[str, str]]) -> Iterable[Sequence[Any]]:
    folders = [wnid for wnid, _ in names]
    yield "class \\ taken for", *folders
    for folder, row in zip(folders, confusion.tolist(), strict=True):
        yield folder, *row


def _write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
