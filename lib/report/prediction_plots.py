"""Plot a network's predictions: the confusion matrix, and samples with their five most probable classes."""

import math

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .plot import COLOURS, INK, Plot
from .predictions import SampledPredictions, SampleImage

# With more classes than these, the matrix has no names, or no numbers in its cells.
_MAX_NAMED, _MAX_NUMBERED = 30, 12
_CORRECT, _OTHER = COLOURS[2], COLOURS[0]


def confusion_plot(predictions: SampledPredictions) -> Plot:
    """Plot the confusion matrix, each row in shares of its sum: rows are true classes, columns predicted ones."""
    counts = predictions.confusion.matrix()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    # From transparent to blue: an empty cell looks empty on light and on dark pages.
    blue = LinearSegmentedColormap.from_list("blue", [(0.18, 0.53, 0.84, 0.0), (0.18, 0.53, 0.84, 1.0)])

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.grid(visible=False)
        axes.imshow(100 * shares, cmap=blue, vmin=0, vmax=100, interpolation="nearest")
        axes.set_title("Predicted, % of the images of each true class")
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        if len(counts) <= _MAX_NAMED:
            names = [shortened(name, 16) for name in predictions.classes]
            axes.set_xticks(range(len(counts)), names, rotation=90)
            axes.set_yticks(range(len(counts)), names)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        if len(counts) <= _MAX_NUMBERED:
            for row, column in zip(*np.nonzero(counts), strict=True):
                axes.text(column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", fontsize=7)

    return Plot("confusion_matrix", "Confusion matrix", draw, (5.0, 5.0))


def samples_plot(samples: list[SampleImage]) -> Plot:
    """Plot samples as in the AlexNet paper: image, true class, and bars of the five most probable classes."""
    columns = min(4, len(samples))
    rows = math.ceil(len(samples) / columns)

    def draw(figure: Figure) -> None:
        cells = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[2, 1] * rows)
        for axes in cells.flat:
            axes.axis("off")
        for number, sample in enumerate(samples):
            row, column = divmod(number, columns)
            image, bars = cells[2 * row][column], cells[2 * row + 1][column]
            image.imshow(sample.image_HWC)
            image.set_title(shortened(sample.label, 24), loc="center")
            for rank, (name, probability) in enumerate(sample.top5):
                colour = _CORRECT if name == sample.label else _OTHER
                bars.barh(rank, probability, color=colour, alpha=0.6, height=0.8)
                bars.text(0.02, rank, shortened(name, 24), va="center", fontsize=8, color=INK)
            bars.set_xlim(0, 1)
            bars.invert_yaxis()

    return Plot("samples", "Validation images and their most probable classes", draw, (2.4 * columns, 3.6 * rows))


def shortened(name: str, length: int) -> str:
    """Return a class name in at most ``length`` characters: if its synonyms do not all fit, the first one.

    >>> [shortened(name, 10) for name in ("tench, Tinca tinca", "crane", "black-footed ferret, Mustela nigripes")]
    ['tench', 'crane', 'black-foo…']
    """
    if len(name) > length:
        name = name.partition(", ")[0]
    return name if len(name) <= length else name[: length - 1] + "…"
