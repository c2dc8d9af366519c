"""Figures of what a network answered: samples with their five best classes, and the confusion matrix."""

import math

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.report.drawing import COLOURS, INK, Plot
from lib.report.predictions import Sample, SampledPredictions

# Up to so many classes are named along the confusion matrix.
_NAMED_CLASSES = 30
_RIGHT, _OTHER = COLOURS[2], COLOURS[0]


def confusion_figure(predictions: SampledPredictions) -> Plot:
    """Rows are classes, columns what they were taken for; the stronger the colour, the larger the share of the row."""
    counts = predictions.confusion
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    # From clear to blue, so that nothing looks like nothing on white and on black.
    blue = LinearSegmentedColormap.from_list("blue", [(0.18, 0.53, 0.84, 0.0), (0.18, 0.53, 0.84, 1.0)])

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.grid(visible=False)
        axes.imshow(100 * shares, cmap=blue, vmin=0, vmax=100, interpolation="nearest")
        axes.set_xlabel("taken for")
        axes.set_ylabel("class")
        if len(counts) <= _NAMED_CLASSES:
            names = [shortened(name, 16) for name in predictions.classes]
            axes.set_xticks(range(len(counts)), names, rotation=90)
            axes.set_yticks(range(len(counts)), names)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        if len(counts) <= 12:
            for row, column in zip(*np.nonzero(counts), strict=True):
                axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=7)

    return Plot("confusion_matrix", "Confusion matrix", draw, (5.0, 5.0))


def samples_figure(samples: list[Sample]) -> Plot:
    """The figure of the AlexNet paper: pictures, their class, and bars of the five best classes."""
    columns = min(4, len(samples))
    rows = math.ceil(len(samples) / columns)

    def draw(figure: Figure) -> None:
        cells = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[2, 1] * rows)
        for axes in cells.flat:
            axes.axis("off")
        for number, sample in enumerate(samples):
            row, column = divmod(number, columns)
            picture, bars = cells[2 * row][column], cells[2 * row + 1][column]
            picture.imshow(sample.image_HWC)
            picture.set_title(shortened(sample.label, 24), loc="center")
            for place, (name, probability) in enumerate(sample.guesses):
                colour = _RIGHT if name == sample.label else _OTHER
                bars.barh(place, probability, color=colour, alpha=0.6, height=0.8)
                bars.text(0.02, place, shortened(name, 24), va="center", fontsize=8, color=INK)
            bars.set_xlim(0, 1)
            bars.invert_yaxis()

    return Plot("samples", "Validation images and their best classes", draw, (2.4 * columns, 3.6 * rows))


def shortened(name: str, length: int) -> str:
    """A class's name in at most ``length`` characters: of several names the first, if they do not all fit.

    >>> [shortened(name, 10) for name in ("tench, Tinca tinca", "crane", "black-footed ferret, Mustela nigripes")]
    ['tench', 'crane', 'black-foo…']
    """
    if len(name) > length:
        name = name.partition(", ")[0]
    return name if len(name) <= length else name[: length - 1] + "…"
