"""The images of each batch: the order of the epoch, and the image that each number of it stands for."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..rng import Stream, numpy_generator, rollback_seed
from ..types import Phase
from .dataset import DataSet
from .order import BatchOrder, WorkerOrder, subset_order, worker_order


class Sampler:
    """The image numbers of each batch of worker ``rank``. Each rollback of the training draws another order."""

    def __init__(self, order: BatchOrder, data: DataSet, train_labels: NDArray[np.int64], rank: int) -> None:
        """``train_labels`` (N,) are the labels of all training images, which class-uniform sampling needs."""
        self._order, self._data, self._labels, self._rank = order, data, train_labels, rank
        self._set_rollbacks(0)

    def indices(self, phase: Phase, epoch: int, batch: int, rollbacks: int = 0) -> NDArray[np.int64]:
        """Return the image numbers (n,) of a batch after this number of rollbacks."""
        if rollbacks != self._rollbacks:
            self._set_rollbacks(rollbacks)
        order = self._orders[phase]
        indices = order.indices(epoch, batch)
        if phase == "val_subset":  # spread evenly, as images may be sorted by class
            return indices * self._data.count("val") // order.count
        if phase in ("train", "norms") and self._order.sampling == "class_uniform":
            return self._drawn(epoch)[indices]
        return indices

    def _set_rollbacks(self, rollbacks: int) -> None:
        self._rollbacks, self._seed = rollbacks, rollback_seed(self._order.seed, rollbacks)
        order = replace(self._order, seed=self._seed)
        train = worker_order(order, self._data, "train", self._rank)
        self._orders: dict[Phase, WorkerOrder] = {
            "train": train,
            "norms": train,
            "val": worker_order(order, self._data, "val", self._rank),
            "val_subset": subset_order(order, self._data, self._rank),
        }
        self._epoch, self._images = -1, np.empty(0, np.int64)

    def _drawn(self, epoch: int) -> NDArray[np.int64]:
        """Return the image numbers of all draws of this epoch."""
        if epoch != self._epoch:
            count = self._orders["train"].count
            self._epoch, self._images = epoch, class_uniform(self._labels, count, seed=self._seed, epoch=epoch)
        return self._images


def class_uniform(labels: NDArray[np.int64], count: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return ``count`` image numbers: for each a random class, and a random image of that class.

    Classes without images are never drawn. Source: soumith/imagenet-multiGPU.torch, dataset.lua.
    """
    rng = numpy_generator(Stream.ORDER, seed, epoch)
    by_class = np.argsort(labels, kind="stable")
    _, starts, sizes = np.unique(labels[by_class], return_index=True, return_counts=True)
    classes = rng.integers(0, len(sizes), count)
    places: NDArray[np.int64] = starts[classes] + rng.integers(0, sizes[classes])
    return by_class[places]
