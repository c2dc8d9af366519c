"""A subset of the validation images, small enough to evaluate often within an epoch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.config.schema import Config
from lib.data.dataset import DataSet
from lib.data.order import n_iterations, shard


@dataclass(frozen=True, kw_only=True)
class SubsetOrder:
    """The images that worker ``rank`` takes from the subset, iteration by iteration; the same in each epoch."""

    total: int
    """validation images"""
    wanted: int
    """images of the subset, if there are that many"""
    batch_size: int
    rank: int
    world_size: int

    @property
    def count(self) -> int:
        """Images in the subset."""
        return min(self.wanted, self.total)

    @property
    def iterations(self) -> int:
        """Iterations to go through it, the same for every worker."""
        return n_iterations(self.count, batch_size=self.batch_size, world_size=self.world_size)

    def indices(self, epoch: int, iteration: int) -> NDArray[np.int64]:
        """Image numbers (n,) of one batch. Spread evenly: where images are sorted by class, all classes come."""
        part = shard(self.count, iteration, batch_size=self.batch_size, rank=self.rank, world_size=self.world_size)
        return np.arange(part.start, part.stop) * self.total // self.count


def subset_order(config: Config, data: DataSet, rank: int) -> SubsetOrder:
    """The subset of ``logging.val_images`` images."""
    return SubsetOrder(
        total=data.count("val"),
        wanted=config.logging.val_images,
        batch_size=config.batch_size,
        rank=rank,
        world_size=config.world_size,
    )
