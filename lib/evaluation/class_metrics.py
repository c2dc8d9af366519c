"""Metrics of a whole evaluation: over all images, of each class, and the confusion matrix."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .metrics import Metrics
from .predictions import Predictions

# A matrix of more classes is too large to read, and soon to hold: with 21,841 classes it takes 4 GB.
_MAX_MATRIX = 1000
# Fewer images may be of one class by chance.
_MIN_JUDGED = 20


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """Metrics of each class, arrays (K,). A class without images has NaN in all of them but ``images``."""

    images: NDArray[np.int64]
    top1_error: NDArray[np.float64]
    top5_error: NDArray[np.float64]
    average_precision: NDArray[np.float64]

    @property
    def mean_average_precision(self) -> float:
        """The mean over the classes that have images."""
        return float(np.mean(self.average_precision[self.images > 0]))


def overall_metrics(predictions: Predictions) -> Metrics:
    """Return loss and errors over all images."""
    wrong1, wrong5 = ((predictions.label_ranks >= k).sum() for k in (1, 5))
    return Metrics.of((predictions.losses.sum(), wrong1, wrong5, len(predictions.images)))


def class_metrics(predictions: Predictions) -> ClassMetrics:
    """Return errors and average precision of each class."""
    n_classes = predictions.probabilities.shape[1]
    counts = np.bincount(predictions.labels, minlength=n_classes)

    def error(k: int) -> NDArray[np.float64]:
        wrong = np.bincount(predictions.labels[predictions.label_ranks >= k], minlength=n_classes)
        return np.where(counts > 0, wrong / np.maximum(counts, 1), np.nan)

    precisions = [
        average_precision(predictions.probabilities[:, c], predictions.labels == c) if counts[c] else np.nan
        for c in range(n_classes)
    ]
    return ClassMetrics(
        images=counts, top1_error=error(1), top5_error=error(5), average_precision=np.array(precisions, np.float64)
    )


def one_class_warning(predicted: ArrayLike, images: NDArray[np.int64] | None = None) -> str:
    """Return a warning if nearly all images are taken for one class that few of them are of, or an empty text.

    ``predicted`` is the class (n,) of each image, ``images`` the number of images (K,) of each class; None: unknown.

    >>> one_class_warning(np.zeros(30, np.int64), np.array([10, 20]))
    '100 % of 30 images are taken for class 0; the inputs may differ from those of the training: see --model.made_for'
    >>> one_class_warning(np.zeros(30, np.int64), np.array([28, 2])), one_class_warning(np.arange(30), np.ones(30))
    ('', '')
    >>> one_class_warning([7] * 30).split("; ")[1][:22]
    'unless they are of it,'
    """
    predicted = np.asarray(predicted, np.int64)
    if len(predicted) < _MIN_JUDGED:
        return ""
    counts = np.bincount(predicted)
    most = int(counts.argmax())
    if counts[most] < 0.9 * len(predicted) or (images is not None and images[most] > 0.5 * len(predicted)):
        return ""
    share = f"{100 * counts[most] / len(predicted):.0f} % of {len(predicted):,} images are taken for class {most}"
    unless = "" if images is not None else "unless they are of it, "
    return f"{share}; {unless}the inputs may differ from those of the training: see --model.made_for"


def average_precision(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    """Return the area under precision over recall, of images ranked by falling score.

    Images of equal score count together, so their order does not matter.

    >>> average_precision(np.float32([0.9, 0.8, 0.7]), np.array([True, False, True]))
    0.8333333333333333
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
    hits = np.cumsum(positive[order])[last_of_equals]
    precision = hits / (np.flatnonzero(last_of_equals) + 1)
    return float((precision * np.diff(hits, prepend=0)).sum() / hits[-1])


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How often each class was predicted for images of each class: one entry (m,) for each pair that occurs."""

    n_classes: int
    labels: NDArray[np.int64]
    """(m,), true class; pairs are sorted by it, then by the predicted class"""
    predicted: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, predictions: Predictions) -> "Confusion":
        """Count the pairs of true and predicted class."""
        n_classes = predictions.probabilities.shape[1]
        pairs, counts = np.unique(predictions.labels * n_classes + predictions.predicted, return_counts=True)
        return cls(n_classes=n_classes, labels=pairs // n_classes, predicted=pairs % n_classes, counts=counts)

    @property
    def has_matrix(self) -> bool:
        """Whether the classes are few enough for a full matrix, which needs memory for each pair of them."""
        return self.n_classes <= _MAX_MATRIX

    def matrix(self) -> NDArray[np.int64]:
        """Return counts (K, K); rows are true classes, columns predicted ones."""
        matrix = np.zeros((self.n_classes, self.n_classes), np.int64)
        matrix[self.labels, self.predicted] = self.counts
        return matrix

    def images(self) -> NDArray[np.int64]:
        """Return the number of images of each class (K,)."""
        return np.bincount(self.labels, self.counts, self.n_classes).astype(np.int64)

    def correct(self) -> NDArray[np.int64]:
        """Return the number of correctly predicted images of each class (K,)."""
        return np.bincount(self.labels, self.counts * (self.labels == self.predicted), self.n_classes).astype(np.int64)

    def wrong(self) -> Iterator[tuple[int, int, int]]:
        """Yield (true class, predicted class, images) where they differ, most frequent first."""
        order = np.argsort(-self.counts, kind="stable")
        for pair in order[self.labels[order] != self.predicted[order]]:
            yield int(self.labels[pair]), int(self.predicted[pair]), int(self.counts[pair])
