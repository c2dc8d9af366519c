"""Plot a network's predictions: the confusion matrix, and samples with their five most probable classes."""

import math

from matplotlib.figure import Figure

from ..evaluation.confusion_plot import plot_confusion, shortened
from ..evaluation.plot import COLOURS, INK, Plot
from .predictions import SampledPredictions, SampleImage

_CORRECT, _OTHER = COLOURS[2], COLOURS[0]


def confusion_plot(predictions: SampledPredictions) -> Plot:
    """Plot the confusion matrix, each row in shares of its sum: rows are true classes, columns predicted ones."""
    return plot_confusion("confusion_matrix", predictions.confusion.matrix(), predictions.classes)


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
