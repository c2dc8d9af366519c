"""Write an evaluation into a folder.

figures.json     loss, top1_error, top5_error, images, accuracy, mean_average_precision, crops, checkpoint
classes.csv      index, folder, name, images, top1_error, top5_error, average_precision of each class
mistakes.csv     class, predicted, images: folders of each pair of classes that was confused, most frequent first
confusion.csv    one row for each true class, one column for each predicted class; for up to 1,000 classes
confusion.png    the same as an image, in shares of each true class: up to 30 classes as the page of a run shows it,
                 more of them as a picture in which darker means more often
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
from PIL import Image, ImageDraw, ImageFont

from ..errors import ConfigError
from .class_metrics import ClassMetrics, Confusion
from .metrics import Metrics

# All sizes are in pixels. The matrix is about this wide, unless that makes a cell smaller than one pixel.
_SIDE = 900
_MAX_CELL = 48
# Smaller cells leave no room for names.
_MIN_NAMED_CELL = 12
_FONT_SIZE = 11
_MARGIN = 8
# Characters of a name that are drawn.
_MAX_NAME = 28
# White to dark blue, monotonic in brightness too, so that it can be printed in grey.
_COLOURS = np.array([(255, 255, 255), (158, 202, 225), (33, 113, 181), (8, 29, 88)], float)


def write_evaluation(
    folder: Path,
    metrics: Metrics,
    classes: ClassMetrics,
    confusion: Confusion,
    names: Sequence[tuple[str, str]],
    facts: dict[str, Any],
) -> None:
    """Write all files. ``names`` are folder and readable name of each class; ``facts`` go into figures.json.

    Raises ConfigError if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        more = {"accuracy": 1 - metrics.top1_error, "mean_average_precision": classes.mean_average_precision}
        figures = asdict(metrics) | more | facts
        (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        _write_csv(folder / "classes.csv", _class_rows(classes, names))
        wrong = ((names[label][0], names[predicted][0], count) for label, predicted, count in confusion.wrong())
        _write_csv(folder / "mistakes.csv", [("class", "predicted", "images"), *wrong])
        if confusion.has_matrix:
            _write_matrix(folder, confusion.matrix(), names)
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder}: {error.strerror or error}; name another folder with --out"
        ) from None


def _write_matrix(folder: Path, confusion: NDArray[np.int64], names: Sequence[tuple[str, str]]) -> None:
    rows = [[wnid, *row] for (wnid, _), row in zip(names, confusion.tolist(), strict=True)]
    _write_csv(folder / "confusion.csv", [["class \\ taken for", *(wnid for wnid, _ in names)], *rows])
    from .confusion_plot import MAX_NAMED, plot_confusion  # noqa: PLC0415  (matplotlib is slow to import)
    from .plot import drawable  # noqa: PLC0415

    shown = [drawable(name or wnid) for wnid, name in names]
    if len(names) <= MAX_NAMED:
        plot_confusion("confusion", confusion, shown).write(folder)
    else:
        draw_confusion(confusion, shown).save(folder / "confusion.png")


def _class_rows(classes: ClassMetrics, names: Sequence[tuple[str, str]]) -> Iterable[Sequence[Any]]:
    yield "index", "folder", "name", "images", "top1_error", "top5_error", "average_precision"
    columns = classes.images, classes.top1_error, classes.top5_error, classes.average_precision
    for index, ((wnid, name), images, *values) in enumerate(zip(names, *columns, strict=True)):
        yield index, wnid, name, images, *("" if math.isnan(value) else float(value) for value in values)


def _write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def draw_confusion(confusion: NDArray[np.int64], names: Sequence[str]) -> Image.Image:
    """Draw ``confusion`` (K, K) with each row normalized to its sum. ``names`` are drawn if there is room."""
    cell = max(1, min(_MAX_CELL, _SIDE // len(confusion)))
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    # The square root keeps rare confusions visible next to a full diagonal.
    channels = [np.interp(np.sqrt(shares), np.linspace(0, 1, len(_COLOURS)), channel) for channel in _COLOURS.T]
    cells = np.kron(np.stack(channels, -1).round().astype(np.uint8), np.ones((cell, cell, 1), np.uint8))
    if cell < _MIN_NAMED_CELL:
        return Image.fromarray(cells)
    return _with_names(Image.fromarray(cells), cell, names)


def _with_names(matrix: Image.Image, cell: int, names: Sequence[str]) -> Image.Image:
    """Add the true classes at the left and the predicted classes, rotated, above."""
    font = ImageFont.load_default(_FONT_SIZE)
    names = [name[:_MAX_NAME] if _can_draw(font, name) else f"class {index}" for index, name in enumerate(names)]
    room = int(max(font.getlength(name) for name in names)) + 2 * _MARGIN
    left = Image.new("RGB", (room, matrix.height), "white")
    draw = ImageDraw.Draw(left)
    for number, name in enumerate(names):
        draw.text((room - _MARGIN, (number + 0.5) * cell), name, fill="black", font=font, anchor="rm")
    page = Image.new("RGB", (room + matrix.width + _MARGIN, room + matrix.height + _MARGIN), "white")
    page.paste(left, (0, room))
    page.paste(left.transpose(Image.Transpose.ROTATE_90), (room, 0))
    page.paste(matrix, (room, room))
    return page


def _can_draw(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str) -> bool:
    """Return whether the font has every character of ``text``; for others it draws the same box."""
    missing = bytes(font.getmask("\uffff"))
    return text.isprintable() and all(bytes(font.getmask(char)) != missing for char in set(text))
