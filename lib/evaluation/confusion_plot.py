"""Plot a confusion matrix, for the page of a run and for validate.py."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .plot import Plot

MAX_NAMED = 30
"""with more classes the matrix has no names"""
# With more it has no numbers in its cells.
_MAX_NUMBERED = 12


def plot_confusion(name: str, counts: NDArray[np.int64], classes: Sequence[str]) -> Plot:
    """Plot a confusion matrix (K, K), each row in shares of its sum: rows are true classes, columns predicted ones.

    ``classes`` are names as ``drawable`` returns them.
    """
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
        if len(counts) <= MAX_NAMED:
            names = [shortened(name, 16) for name in classes]
            axes.set_xticks(range(len(counts)), names, rotation=90)
            axes.set_yticks(range(len(counts)), names)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        if len(counts) <= _MAX_NUMBERED:
            for row, column in zip(*np.nonzero(counts), strict=True):
                axes.text(column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", fontsize=7)

    return Plot(name, "Confusion matrix", draw, (5.0, 5.0))


def shortened(name: str, length: int) -> str:
    """Return a class name in at most ``length`` characters: if its synonyms do not all fit, the first one.

    >>> [shortened(name, 10) for name in ("tench, Tinca tinca", "crane", "black-footed ferret, Mustela nigripes")]
    ['tench', 'crane', 'black-foo…']
    """
    if len(name) > length:
        name = name.partition(", ")[0]
    return name if len(name) <= length else name[: length - 1] + "…"
