"""The order of images: a pure function of (seed, epoch).

It is the same for any number of workers, and a resumed run sees exactly the images of an uninterrupted one.

An iteration takes ``world_size * batch_size`` images from the order of the epoch, and each worker takes its shard. The
images that are left at the end of an epoch make one smaller iteration, which is divided as evenly as possible: no image
is left out, and none is used twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..config.schema import AugmentConfig, DataConfig, LoggingConfig, RunConfig
from ..rng import Stream, numpy_generator
from ..types import Split
from .dataset import DataSet

Shuffle = Literal["images", "files", "none"]


@dataclass(frozen=True, kw_only=True)
class BatchOrder:
    """Everything that decides which images make which batch of a run."""

    seed: int
    n_epochs: int = 1
    batch_size: int
    """images of each worker in one iteration"""
    world_size: int = 1
    shuffle: Shuffle = "images"
    sampling: Literal["shuffled", "class_uniform"] = "shuffled"
    epoch_size: int = 0
    """iterations in an epoch of class-uniform sampling; 0: as many as the training images fill"""
    limit_batches: int = 0
    """iterations after which an epoch ends; 0: no limit"""
    overfit_batches: int = 0
    """iterations of the first epoch that every epoch repeats; 0: none"""
    together: int = 1
    """training images in a row of the order that are never divided between workers"""
    val_freq: int = 0
    """iterations between two evaluations of the validation subset; 0: it is never evaluated"""
    val_images: int = 1000
    """images of the validation subset"""
    norm_images: int = 0
    """training images, of all workers, by which norms are measured after an epoch"""

    @classmethod
    def of(
        cls,
        data: DataConfig,
        augment: AugmentConfig,
        run: RunConfig,
        logging: LoggingConfig,
        *,
        batch_size: int,
        world_size: int,
        norm_images: int = 0,
    ) -> "BatchOrder":
        """Return the order that these sections of the configuration define."""
        return cls(
            seed=run.seed,
            n_epochs=run.n_epochs,
            batch_size=batch_size,
            world_size=world_size,
            shuffle=data.shuffle,
            sampling=data.sampling,
            epoch_size=data.epoch_size,
            limit_batches=run.limit_batches,
            overfit_batches=run.overfit_batches,
            together=augment.together,
            val_freq=logging.val_freq,
            val_images=logging.val_images,
            norm_images=norm_images,
        )


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
    """iterations after which an epoch ends; 0: when every image was used"""
    repeats: bool = False
    """whether every epoch repeats the first"""
    together: int = 1
    """images in a row that are never divided between workers"""

    @property
    def count(self) -> int:
        """Images of all workers in an epoch without a limit."""
        return sum(self.file_counts)

    @property
    def iterations(self) -> int:
        """Iterations in an epoch, the same for every worker."""
        every = n_iterations(self.count, batch_size=self.batch_size, world_size=self.world_size)
        return min(every, self.limit) if self.limit else every

    def indices(self, epoch: int, iteration: int) -> NDArray[np.int64]:
        """Return the image numbers (n,) of one batch; n may be below ``batch_size`` in an epoch's last iteration."""
        order = _cached_order(self.file_counts, self.seed, 0 if self.repeats else epoch, self.shuffle)
        sizes = {"batch_size": self.batch_size, "world_size": self.world_size, "together": self.together}
        return order[shard(len(order), iteration, rank=self.rank, **sizes)]

    def all_workers_count(self, iteration: int) -> int:
        """Return the number of images that all workers together take in ``iteration``."""
        total = self.batch_size * self.world_size
        return min(total, self.count - iteration * total)

    def of_one_update(self, iteration: int, accumulate: int) -> range:
        """Return the iterations from ``iteration`` on whose batches make one update.

        An update takes every ``accumulate`` iterations from the start of the epoch. The last one may have fewer.
        """
        return range(iteration, min((iteration // accumulate + 1) * accumulate, self.iterations))


def worker_order(order: BatchOrder, data: DataSet, split: Split, rank: int) -> WorkerOrder:
    """Return the order in which worker ``rank`` reads ``split``. Validation images are never shuffled."""
    train = split == "train"
    uniform = train and order.sampling == "class_uniform"
    n_draws = order.epoch_size * order.batch_size * order.world_size or data.count("train")
    overfit = order.overfit_batches if train else 0
    return WorkerOrder(
        file_counts=(n_draws,) if uniform else data.file_counts(split),
        seed=order.seed,
        shuffle=order.shuffle if train and not uniform else "none",
        batch_size=order.batch_size,
        rank=rank,
        world_size=order.world_size,
        limit=overfit or order.limit_batches,
        repeats=overfit > 0,
        together=order.together if train else 1,
    )


def subset_order(order: BatchOrder, data: DataSet, rank: int) -> WorkerOrder:
    """Return the order in which worker ``rank`` reads the validation subset, whose images are numbered from 0 on."""
    return WorkerOrder(
        file_counts=(min(order.val_images, data.count("val")),),
        seed=order.seed,
        shuffle="none",
        batch_size=order.batch_size,
        rank=rank,
        world_size=order.world_size,
    )


def describe_order(data: DataConfig) -> str:
    """Return the keys that decide the order of training images besides the seed, as text for people and checkpoints."""
    if data.sampling == "shuffled":
        return f"data.shuffle {data.shuffle}"
    return f"data.sampling {data.sampling}"


def epoch_order(file_counts: Sequence[int], *, seed: int, epoch: int, shuffle: Shuffle) -> NDArray[np.int64]:
    """Return all image numbers (N,) in the order of this epoch.

    ``images`` permutes every image. ``files`` permutes the batch files and keeps the order within each.
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
    """Return the number of iterations in an epoch of ``count`` images.

    >>> n_iterations(10, batch_size=2, world_size=2)
    3
    """
    return -(-count // (batch_size * world_size))


def shard(count: int, iteration: int, *, batch_size: int, rank: int, world_size: int, together: int = 1) -> slice:
    """Return the part of the epoch's order that worker ``rank`` takes in ``iteration``.

    It consists of whole groups of ``together`` images, except that the last group of an epoch may be smaller.

    >>> [shard(10, 1, batch_size=2, rank=r, world_size=2) for r in range(2)]
    [slice(4, 6, None), slice(6, 8, None)]
    >>> [shard(9, 2, batch_size=2, rank=r, world_size=2) for r in range(2)]  # one image is left
    [slice(8, 8, None), slice(8, 9, None)]
    """
    start = iteration * batch_size * world_size
    size = min(count - start, batch_size * world_size)
    groups = -(-size // together)
    first, end = (min(size, together * (groups * r // world_size)) for r in (rank, rank + 1))
    return slice(start + first, start + end)


@lru_cache(maxsize=3)  # one for each phase: batches are read ahead within one epoch, or into the next
def _cached_order(file_counts: tuple[int, ...], seed: int, epoch: int, shuffle: Shuffle) -> NDArray[np.int64]:
    return epoch_order(file_counts, seed=seed, epoch=epoch, shuffle=shuffle)
