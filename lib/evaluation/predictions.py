"""The predictions of a network for each image, and how they get from the workers to the one that reports."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .metrics import label_ranks


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Predictions for n images. The arrays have the same order."""

    images: NDArray[np.int64]
    """(n,), index of the image in the validation set"""
    labels: NDArray[np.int64]
    """(n,), true class"""
    predicted: NDArray[np.int64]
    """(n,), most probable class"""
    label_ranks: NDArray[np.int64]
    """(n,), number of classes that are more probable than the true one"""
    losses: NDArray[np.float64]
    """(n,), minus the logarithm of the probability of the true class"""
    probabilities: NDArray[np.float32]
    """(n, K)"""

    @classmethod
    def of(cls, images: NDArray[np.int64], labels_B: Tensor, log_probabilities_BK: Tensor) -> "Predictions":
        """Return the predictions for one batch. Waits for the device."""
        own_B = log_probabilities_BK.gather(1, labels_B[:, None]).squeeze(1)
        return cls(
            images=images,
            labels=labels_B.cpu().numpy().copy(),  # the loader will overwrite the slot that they lie in
            predicted=log_probabilities_BK.argmax(1).cpu().numpy(),
            label_ranks=label_ranks(log_probabilities_BK, labels_B).cpu().numpy(),
            losses=-own_B.double().cpu().numpy(),
            probabilities=log_probabilities_BK.exp().to(torch.float32).cpu().numpy(),
        )

    @classmethod
    def empty(cls, n_classes: int) -> "Predictions":
        """Return predictions for no image."""
        no_labels, no_probabilities = torch.zeros(0, dtype=torch.int64), torch.zeros(0, n_classes, dtype=torch.float64)
        return cls.of(no_labels.numpy(), no_labels, no_probabilities)

    @classmethod
    def concatenate(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """Return all images of ``parts``, sorted by index, so that sums are the same for any number of workers."""
        whole = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)}
        order = np.argsort(whole["images"], kind="stable")
        return cls(**{name: array[order] for name, array in whole.items()})

    @classmethod
    def load(cls, path: Path) -> "Predictions":
        """Read the file that ``save`` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{f.name: arrays[f.name] for f in fields(cls)})

    def save(self, path: Path) -> None:
        """Write an .npz file."""
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **vars(self))

    def check_complete(self, count: int) -> None:
        """Raise RuntimeError unless each of ``count`` images is there exactly once."""
        times = np.bincount(self.images, minlength=count)
        if len(times) != count or (times != 1).any():
            raise RuntimeError(
                f"of {count} images {int((times == 0).sum())} were not evaluated and {int((times > 1).sum())} more "
                "than once; this is a fault of the program"
            )
