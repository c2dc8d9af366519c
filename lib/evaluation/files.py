"""An evaluation as a folder that people and programs can read.

figures.json     loss, top1_error, top5_error, images, mean_average_precision, crops, checkpoint
classes.csv      index, folder, name, images, top1_error, top5_error, average_precision of each class
confusion.csv    a row for each class, a column for each class it was taken for
confusion.png    the same as a picture
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
from lib.evaluation.confusion_picture import confusion_picture
from lib.evaluation.figures import ClassFigures
from lib.evaluation.metrics import Metrics


def write_evaluation(
    folder: Path,
    figures: Metrics,
    classes: ClassFigures,
    confusion: NDArray[np.int64],
    names: Sequence[tuple[str, str]],
    more: dict[str, Any],
) -> None:
    """Write all four files. ``names`` are folder and readable name of each class. Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        entry = asdict(figures) | {"mean_average_precision": classes.mean_average_precision} | more
        (folder / "figures.json").write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
        _write_csv(folder / "classes.csv", _class_rows(classes, names))
        _write_csv(folder / "confusion.csv", _confusion_rows(confusion, names))
        confusion_picture(confusion, [name or wnid for wnid, name in names]).save(folder / "confusion.png")
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder}: {error.strerror or error}; name another folder with --out"
        ) from None


def _class_rows(classes: ClassFigures, names: Sequence[tuple[str, str]]) -> Iterable[Sequence[Any]]:
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
