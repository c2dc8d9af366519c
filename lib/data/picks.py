"""Which images of the data set make a batch: the order of the epoch, and what stands behind its numbers."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lib.config import Config
from lib.data.data_set import DataSet
from lib.data.layout import Pass, Split
from lib.data.order import Sampling, WorkerOrder, sampling, worker_order
from lib.data.subset import SubsetOrder, subset_order
from lib.training.rewinds import rewound


class Picks:
    """The images of each batch of worker ``rank``; others after each rewind of the training."""

    def __init__(self, config: Config, data: DataSet, labels: Mapping[Split, NDArray[np.int64]], rank: int) -> None:
        """``labels`` (N,) are those of each split's images."""
        self._config, self._data, self._labels, self._rank = config, data, labels, rank
        self._turn_to(0)

    def rows(self, split: Pass, epoch: int, batch: int, rewinds: int) -> NDArray[np.int64]:
        """The numbers (n,) of the images that a batch has, after so many rewinds."""
        if rewinds != self._rewinds:
            self._turn_to(rewinds)
        return self._samplings[split].images(epoch, self._orders[split].indices(epoch, batch))

    def _turn_to(self, rewinds: int) -> None:
        config, data, rank = rewound(self._config, rewinds), self._data, self._rank
        val = sampling(config, data, "val", self._labels["val"])
        train = sampling(config, data, "train", self._labels["train"])
        self._rewinds = rewinds
        self._samplings: dict[Pass, Sampling] = {"train": train, "val": val, "val_subset": val}
        self._orders: dict[Pass, WorkerOrder | SubsetOrder] = {
            "train": worker_order(config, data, "train", rank),
            "val": worker_order(config, data, "val", rank),
            "val_subset": subset_order(config, data, rank),
        }
