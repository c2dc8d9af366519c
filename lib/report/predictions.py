"""What a network says of validation images, counted and sampled."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_SAMPLES = 8


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One validation image with its best classes, best first."""

    image_HWC: NDArray[np.uint8]
    label: str
    guesses: list[tuple[str, float]]
    """(class, probability)"""

    @property
    def is_right(self) -> bool:
        return self.guesses[0][0] == self.label

    @property
    def is_among(self) -> bool:
        return self.label in dict(self.guesses)


@dataclass(frozen=True, kw_only=True)
class SampledPredictions:
    """Of ``n_images`` validation images out of ``n_all``, spread over all of them."""

    checkpoint: str
    n_all: int
    classes: list[str]
    labels_N: NDArray[np.int64]
    guesses_N5: NDArray[np.int64]
    """best classes first; fewer than five where there are fewer classes"""
    samples: list[Sample]

    @property
    def n_images(self) -> int:
        return len(self.labels_N)

    @property
    def n_right(self) -> int:
        return int((self.guesses_N5[:, 0] == self.labels_N).sum())

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """How often an image of the row's class was taken for the column's: (K, K)."""
        counts = np.zeros((len(self.classes), len(self.classes)), np.int64)
        np.add.at(counts, (self.labels_N, self.guesses_N5[:, 0]), 1)
        return counts

    def confused_pairs(self, count: int = 10) -> list[tuple[str, str, int, float]]:
        """(class, taken for, images, share of the class's images), most frequent first."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        best = np.argsort(-wrong, axis=None, kind="stable")[:count]
        totals = self.confusion.sum(1)
        return [
            (self.classes[row], self.classes[column], int(wrong[row, column]), float(wrong[row, column] / totals[row]))
            for row, column in zip(*np.unravel_index(best, wrong.shape), strict=True)
            if wrong[row, column]
        ]

    def ranked_classes(self) -> list[tuple[str, float, int]]:
        """(class, share recognised, images) of every class that was looked at, best first."""
        totals = self.confusion.sum(1)
        rows = [
            (name, float(self.confusion[i, i] / totals[i]), int(totals[i]))
            for i, name in enumerate(self.classes)
            if totals[i]
        ]
        return sorted(rows, key=lambda row: -row[1])


def choose_samples(labels_N: NDArray[np.int64], right_N: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Eight to show: of different classes as far as they go, and both right and wrong ones."""
    numbers = np.arange(len(labels_N))
    seen: dict[int, int] = {}
    turn = []
    for label in labels_N.tolist():
        turn.append(seen.get(label, 0))
        seen[label] = turn[-1] + 1
    order = numbers[np.argsort(turn, kind="stable")]
    right, wrong = order[right_N[order]], order[~right_N[order]]
    n_wrong = min(len(wrong), max(_SAMPLES // 2 - 1, _SAMPLES - len(right)))
    chosen = np.concatenate([right[: _SAMPLES - n_wrong], wrong[:n_wrong]])
    return np.sort(chosen)
