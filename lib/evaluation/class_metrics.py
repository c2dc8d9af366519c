"""Metrics of a whole evaluation: over all images, of each class, and the confusion matrix."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.evaluation.metrics import Metrics
from lib.evaluation.predictions import Predictions


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


def confusion_matrix(predictions: Predictions) -> NDArray[np.int64]:
    """Return (K, K) counts of images; rows are true classes, columns predicted ones."""
    n_classes = predictions.probabilities.shape[1]
    cells = predictions.labels * n_classes + predictions.predicted
    return np.bincount(cells, minlength=n_classes * n_classes).reshape(n_classes, n_classes)
