"""A network's predictions for some validation images: counts, confusion and samples."""

from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ..evaluation.class_metrics import Confusion
from ..evaluation.predictions import Predictions

_SAMPLES = 8
# Fewer images of a class, on the average, say little about it.
_MIN_IMAGES = 5


@dataclass(frozen=True, kw_only=True)
class SampleImage:
    """One validation image with its most probable classes."""

    image_HWC: NDArray[np.uint8]
    label: str
    top5: list[tuple[str, float]]
    """(class, probability), best first"""

    @property
    def is_correct(self) -> bool:
        return self.top5[0][0] == self.label

    @property
    def is_in_top5(self) -> bool:
        return self.label in dict(self.top5)


@dataclass(frozen=True, kw_only=True)
class SampledPredictions:
    """Predictions for ``n_images`` validation images, spread over all ``n_all``."""

    n_all: int
    classes: list[str]
    predictions: Predictions
    samples: list[SampleImage]

    @property
    def n_images(self) -> int:
        return len(self.predictions.images)

    @property
    def n_correct(self) -> int:
        return int((self.predictions.label_ranks == 0).sum())

    @cached_property
    def confusion(self) -> Confusion:
        return Confusion.of(self.predictions)

    @property
    def tells_classes(self) -> bool:
        """Whether enough images of each class were evaluated to compare classes."""
        images = self.confusion.images()
        return self.n_images >= _MIN_IMAGES * max(1, int(np.count_nonzero(images)))

    def confused_pairs(self, count: int = 10) -> list[tuple[str, str, int, float]]:
        """Return (class, predicted class, images, share of the class's images), most frequent first."""
        totals = self.confusion.images()
        return [
            (self.classes[label], self.classes[predicted], images, float(images / totals[label]))
            for label, predicted, images in islice(self.confusion.wrong(), count)
        ]

    def ranked_classes(self) -> list[tuple[str, float, int]]:
        """Return (class, share predicted correctly, images) of each class that has images, best first."""
        totals, correct = self.confusion.images(), self.confusion.correct()
        rows = [(self.classes[i], float(correct[i] / totals[i]), int(totals[i])) for i in np.flatnonzero(totals)]
        return sorted(rows, key=lambda row: -row[1])


def choose_samples(labels_N: NDArray[np.int64], correct_N: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the indices of eight samples, of different classes where possible, both correct and wrong ones."""
    shuffled = np.random.default_rng(0).permutation(len(labels_N))
    # Sort by how many images of the same class come before: the first of every class, then the second of every class.
    seen: dict[int, int] = {}
    repeats = []
    for label in labels_N[shuffled].tolist():
        repeats.append(seen.get(label, 0))
        seen[label] = repeats[-1] + 1
    order = shuffled[np.argsort(repeats, kind="stable")]
    correct, wrong = order[correct_N[order]], order[~correct_N[order]]
    n_wrong = min(len(wrong), max(_SAMPLES // 2 - 1, _SAMPLES - len(correct)))
    return np.sort(np.concatenate([correct[: _SAMPLES - n_wrong], wrong[:n_wrong]]))
