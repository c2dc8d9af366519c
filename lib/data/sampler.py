"""Which images of the data set make a batch: the order of the epoch, and what stands behind its numbers."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lib.config.schema import Config
from lib.data.dataset import DataSet
from lib.data.order import Sampling, WorkerOrder, sampling, worker_order
from lib.data.subset import SubsetOrder, subset_order
from lib.training.rollbacks import with_rollback_seed
from lib.types import Phase, Split


class Sampler:
    """The images of each batch of worker ``rank``; others after each rollback of the training."""

    def __init__(self, config: Config, data: DataSet, labels: Mapping[Split, NDArray[np.int64]], rank: int) -> None:
        """``labels`` (N,) are those of each split's images."""
        self._config, self._data, self._labels, self._rank = config, data, labels, rank
        self._turn_to(0)

    def rows(self, split: Phase, epoch: int, batch: int, rollbacks: int) -> NDArray[np.int64]:
        """The numbers (n,) of the images that a batch has, after so many rollbacks."""
        if rollbacks != self._rollbacks:
            self._turn_to(rollbacks)
        return self._samplings[split].images(epoch, self._orders[split].indices(epoch, batch))

    def _turn_to(self, rollbacks: int) -> None:
        config, data, rank = with_rollback_seed(self._config, rollbacks), self._data, self._rank
        val = sampling(config, data, "val", self._labels["val"])
        train = sampling(config, data, "train", self._labels["train"])
        self._rollbacks = rollbacks
        self._samplings: dict[Phase, Sampling] = {"train": train, "val": val, "val_subset": val}
        self._orders: dict[Phase, WorkerOrder | SubsetOrder] = {
            "train": worker_order(config, data, "train", rank),
            "val": worker_order(config, data, "val", rank),
            "val_subset": subset_order(config, data, rank),
        }
