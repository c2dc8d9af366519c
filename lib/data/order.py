"""Which image comes when: a pure function of (seed, epoch), so that it is the same for any number of
workers, and a resumed run sees exactly what an uninterrupted one would have.

An iteration takes ``world_size * batch_size`` images from the epoch's order; each worker takes its part.
What is left at the end makes a last, smaller iteration, shared out as evenly as it goes: no image is
left out, none comes twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lib.config.schema import Config, DataConfig
from lib.data.dataset import DataSet
from lib.rng import Stream, numpy_generator
from lib.types import Split

Shuffle = Literal["images", "files", "none"]


@dataclass(frozen=True, kw_only=True)
class WorkerOrder:
    """The images that worker ``rank`` takes from one split, iteration by iteration."""

    file_counts: tuple[int, ...]
    seed: int
    shuffle: Shuffle
    batch_size: int
    rank: int
    world_size: int
    limit: int = 0
    """iterations after which an epoch is over; 0: once every image was there"""
    repeats: bool = False
    """whether every epoch is the first one again"""

    @property
    def iterations(self) -> int:
        """Iterations in an epoch, the same for every worker."""
        every = n_iterations(sum(self.file_counts), batch_size=self.batch_size, world_size=self.world_size)
        return min(every, self.limit) if self.limit else every

    def indices(self, epoch: int, iteration: int) -> NDArray[np.int64]:
        """Image numbers (n,) of one batch; n is less than ``batch_size`` in an epoch's last iteration."""
        order = _cached_order(self.file_counts, self.seed, 0 if self.repeats else epoch, self.shuffle)
        part = shard(
            len(order),
            iteration,
            batch_size=self.batch_size,
            rank=self.rank,
            world_size=self.world_size,
        )
        return order[part]

    def all_workers_count(self, iteration: int) -> int:
        """Images that all workers together take in ``iteration``."""
        total = self.batch_size * self.world_size
        return min(total, sum(self.file_counts) - iteration * total)

    def of_one_update(self, iteration: int, accumulate: int) -> range:
        """The iterations whose batches make one update, from ``iteration`` on.

        Every ``accumulate`` from the epoch's start; the last update of an epoch may have fewer.
        """
        return range(iteration, min((iteration // accumulate + 1) * accumulate, self.iterations))


class Sampling(Protocol):
    """Which image stands behind each number of an epoch's order."""

    def images(self, epoch: int, draws: NDArray[np.int64]) -> NDArray[np.int64]:
        """The image numbers (n,) of ``draws`` (n,)."""


class EachOnce:
    """``Sampling`` in which number i is image i."""

    def images(self, epoch: int, draws: NDArray[np.int64]) -> NDArray[np.int64]:
        return draws


class ClassUniform:
    """``Sampling`` with replacement, all classes equally likely; an epoch has ``count`` draws."""

    def __init__(self, labels: NDArray[np.int64], count: int, seed: int) -> None:
        self._labels, self._count, self._seed = labels, count, seed
        self._epoch, self._images = -1, np.empty(0, np.int64)

    def images(self, epoch: int, draws: NDArray[np.int64]) -> NDArray[np.int64]:
        if epoch != self._epoch:
            self._images = class_uniform(self._labels, self._count, seed=self._seed, epoch=epoch)
            self._epoch = epoch
        return self._images[draws]


def worker_order(config: Config, data: DataSet, split: Split, rank: int) -> WorkerOrder:
    """The order in which worker ``rank`` goes through ``split``; validation is never shuffled."""
    drawn = split == "train" and config.data.sampling == "class_uniform"
    overfit = config.run.overfit_batches if split == "train" else 0
    return WorkerOrder(
        file_counts=(n_draws(config, data),) if drawn else data.file_counts(split),
        seed=config.run.seed,
        shuffle=config.data.shuffle if split == "train" and not drawn else "none",
        batch_size=config.batch_size,
        rank=rank,
        world_size=config.world_size,
        limit=overfit or config.run.limit_batches,
        repeats=overfit > 0,
    )


def told_order(data: DataConfig) -> str:
    """For people and checkpoints: what, besides the seed, decides which training image comes when."""
    if data.sampling == "shuffled":
        return f"data.shuffle {data.shuffle}"
    return f"data.sampling {data.sampling}"


def sampling(config: Config, data: DataSet, split: Split, labels: NDArray[np.int64]) -> Sampling:
    """What the numbers of ``worker_order`` mean; ``labels`` (N,) are those of the split's images."""
    if split == "train" and config.data.sampling == "class_uniform":
        return ClassUniform(labels, n_draws(config, data), config.run.seed)
    return EachOnce()


def n_draws(config: Config, data: DataSet) -> int:
    """Images that all workers together draw in an epoch of class-uniform sampling."""
    return config.data.epoch_size * config.batch_size * config.world_size or data.count("train")


def class_uniform(labels: NDArray[np.int64], count: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """``count`` image numbers, each of a class drawn at random and in it an image drawn at random.

    Classes without an image are never drawn. Source: soumith/imagenet-multiGPU.torch, dataset.lua.
    """
    rng = numpy_generator(Stream.ORDER, seed, epoch)
    by_class = np.argsort(labels, kind="stable")
    _, starts, sizes = np.unique(labels[by_class], return_index=True, return_counts=True)
    classes = rng.integers(0, len(sizes), count)
    places: NDArray[np.int64] = starts[classes] + rng.integers(0, sizes[classes])
    return by_class[places]


def epoch_order(file_counts: Sequence[int], *, seed: int, epoch: int, shuffle: Shuffle) -> NDArray[np.int64]:
    """All image numbers (N,) in the order in which this epoch takes them.

    ``images`` permutes every image, ``files`` the batch files, each kept in its own order.
    """
    count = sum(file_counts)
    if shuffle == "none":
        return np.arange(count)
    rng = numpy_generator(Stream.ORDER, seed, epoch)
    if shuffle == "images":
        return rng.permutation(count)
    starts = np.cumsum([0, *file_counts])
    files = rng.permutation(len(file_counts))
    return np.concatenate([np.arange(starts[f], starts[f + 1]) for f in files])


def n_iterations(count: int, *, batch_size: int, world_size: int) -> int:
    """Iterations in an epoch of ``count`` images.

    >>> n_iterations(10, batch_size=2, world_size=2)
    3
    """
    return -(-count // (batch_size * world_size))


def shard(count: int, iteration: int, *, batch_size: int, rank: int, world_size: int) -> slice:
    """The part of the epoch's order that worker ``rank`` takes in ``iteration``.

    >>> [shard(10, 1, batch_size=2, rank=r, world_size=2) for r in range(2)]
    [slice(4, 6, None), slice(6, 8, None)]
    >>> [shard(9, 2, batch_size=2, rank=r, world_size=2) for r in range(2)]  # one image is left
    [slice(8, 8, None), slice(8, 9, None)]
    """
    start = iteration * batch_size * world_size
    size = min(count - start, batch_size * world_size)
    return slice(start + size * rank // world_size, start + size * (rank + 1) // world_size)


@lru_cache(maxsize=2)  # one a split: what is read ahead is in the epoch in hand or in the next
def _cached_order(file_counts: tuple[int, ...], seed: int, epoch: int, shuffle: Shuffle) -> NDArray[np.int64]:
    return epoch_order(file_counts, seed=seed, epoch=epoch, shuffle=shuffle)
