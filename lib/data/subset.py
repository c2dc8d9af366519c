"""A subset of the validation images that is small enough to evaluate often within an epoch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.data.dataset import DataSet
from lib.data.order import BatchOrder, n_iterations, shard


@dataclass(frozen=True, kw_only=True)
class SubsetOrder:
    """The images that worker ``rank`` takes from the subset, iteration by iteration; the same in each epoch."""

    total: int
    """validation images"""
    max_images: int
    """most images of the subset"""
    batch_size: int
    rank: int
    world_size: int

    @property
    def count(self) -> int:
        """Images in the subset."""
        return min(self.max_images, self.total)

    @property
    def iterations(self) -> int:
        """Iterations over the whole subset, the same for every worker."""
        return n_iterations(self.count, batch_size=self.batch_size, world_size=self.world_size)

    def indices(self, epoch: int, iteration: int) -> NDArray[np.int64]:
        """Return the image numbers (n,) of one batch.

        They are spread evenly, so that the subset has images of all classes where images are sorted by class.
        """
        part = shard(self.count, iteration, batch_size=self.batch_size, rank=self.rank, world_size=self.world_size)
        return np.arange(part.start, part.stop) * self.total // self.count


def subset_order(order: BatchOrder, data: DataSet, rank: int) -> SubsetOrder:
    """Return the order in which worker ``rank`` reads the validation subset."""
    return SubsetOrder(
        total=data.count("val"),
        max_images=order.val_images,
        batch_size=order.batch_size,
        rank=rank,
        world_size=order.world_size,
    )
