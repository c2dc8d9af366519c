"""What a network said of each image, and its way from the workers to the one that reports."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib.evaluation.metrics import label_ranks


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Of n images, in this order."""

    images: NDArray[np.int64]
    """(n,), the number of each in the validation set"""
    labels: NDArray[np.int64]
    """(n,), its class"""
    predicted: NDArray[np.int64]
    """(n,), the most probable class"""
    label_ranks: NDArray[np.int64]
    """(n,), how many classes were held more probable than its own"""
    losses: NDArray[np.float64]
    """(n,), minus the logarithm of the probability of its class"""
    probabilities: NDArray[np.float32]
    """(n, K)"""

    @classmethod
    def of(cls, images: NDArray[np.int64], labels_B: Tensor, log_probabilities_BK: Tensor) -> "Predictions":
        """From one batch. Waits for the device."""
        own_B = log_probabilities_BK.gather(1, labels_B[:, None]).squeeze(1)
        return cls(
            images=images,
            labels=labels_B.cpu().numpy().copy(),  # of a slot that the loader will fill again
            predicted=log_probabilities_BK.argmax(1).cpu().numpy(),
            label_ranks=label_ranks(log_probabilities_BK, labels_B).cpu().numpy(),
            losses=-own_B.double().cpu().numpy(),
            probabilities=log_probabilities_BK.exp().to(torch.float32).cpu().numpy(),
        )

    def save(self, path: Path) -> None:
        """Write an .npz file."""
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **vars(self))


def load(path: Path) -> Predictions:
    """What ``save`` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return Predictions(**{f.name: arrays[f.name] for f in fields(Predictions)})


def joined(parts: Sequence[Predictions]) -> Predictions:
    """All images of ``parts``, sorted by number: so every sum is the same for any number of workers."""
    whole = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Predictions)}
    order = np.argsort(whole["images"], kind="stable")
    return Predictions(**{name: array[order] for name, array in whole.items()})


def nothing(n_classes: int) -> Predictions:
    """Of no image: the share of a worker for which none is left."""
    none = np.zeros(0, np.int64)
    return Predictions(
        images=none,
        labels=none,
        predicted=none,
        label_ranks=none,
        losses=np.zeros(0),
        probabilities=np.zeros((0, n_classes), np.float32),
    )


def check_complete(predictions: Predictions, count: int) -> None:
    """Raises RuntimeError unless each of ``count`` images is there exactly once."""
    times = np.bincount(predictions.images, minlength=count)
    if len(times) != count or (times != 1).any():
        raise RuntimeError(
            f"of {count} images {int((times == 0).sum())} were not evaluated and {int((times > 1).sum())} more "
            "than once; this is a fault of the program"
        )
