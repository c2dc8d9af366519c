"""What one worker trains and validates on, batch by batch: known in advance, so that a loader may read ahead
across the end of an epoch, and a resumed run starts in the middle of one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lib.config.schema import Config
from lib.data.augment.params import AugmentParams, center_params, draw_params
from lib.data.dataset import DataSet
from lib.data.order import worker_order
from lib.data.subset import subset_order
from lib.training.rollbacks import with_rollback_seed
from lib.types import Phase


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One batch of one worker: which it is, and the params (n, V) of its n images."""

    split: Phase
    epoch: int
    batch: int
    params: AugmentParams
    rollbacks: int = 0

    @property
    def count(self) -> int:
        """Images in it: none, where the last iteration has fewer images than workers."""
        return len(self.params)


class Plan:
    """The batches of worker ``rank``."""

    def __init__(self, config: Config, data: DataSet, *, rank: int, crop: int, rollbacks: int = 0) -> None:
        """``rollbacks``: how often the training went back; views and order follow from it."""
        config = with_rollback_seed(config, rollbacks)
        self._rollbacks = rollbacks
        self.train = worker_order(config, data, "train", rank)
        self.val = worker_order(config, data, "val", rank)
        self.val_subset = subset_order(config, data, rank)
        self._config, self._img_size, self._crop = config, data.img_size, crop

    def training(self, epoch: int, first: int = 0) -> Iterator[BatchRequest]:
        """The epoch's training batches from iteration ``first`` on, and between them the subset's."""
        drawn = draw_params(
            sum(self.train.file_counts),
            img_size=self._img_size,
            crop=self._crop,
            augment=self._config.augment,
            seed=self._config.run.seed,
            epoch=epoch,
        )
        for batch in range(first, self.train.iterations):
            if self.subset_due(batch):
                yield from self.validation_subset(epoch)
            indices = self.train.indices(epoch, batch)
            # One view a batch: that of the image whose number the iteration has, whichever the worker.
            chosen = indices if self._config.augment.per_image else np.full(len(indices), batch)
            yield BatchRequest("train", epoch, batch, drawn[chosen], self._rollbacks)

    def validation(self, epoch: int) -> Iterator[BatchRequest]:
        """All validation batches, seen at the centre."""
        for batch in range(self.val.iterations):
            count = len(self.val.indices(epoch, batch))
            yield BatchRequest("val", epoch, batch, center_params(count, img_size=self._img_size, crop=self._crop))

    def subset_due(self, iteration: int) -> bool:
        """Whether the subset is evaluated before this iteration of an epoch: never at its ends."""
        freq = self._config.logging.val_freq
        return freq > 0 and iteration > 0 and iteration % freq == 0

    def validation_subset(self, epoch: int) -> Iterator[BatchRequest]:
        """The batches of the subset of validation images, seen at the centre."""
        for batch in range(self.val_subset.iterations):
            count = len(self.val_subset.indices(epoch, batch))
            yield BatchRequest(
                "val_subset", epoch, batch, center_params(count, img_size=self._img_size, crop=self._crop)
            )

    def run(self, epoch: int, first: int) -> Iterator[BatchRequest]:
        """Everything from iteration ``first`` of ``epoch`` to the end of the run."""
        for number in range(epoch, self._config.run.n_epochs):
            yield from self.training(number, first if number == epoch else 0)
            yield from self.validation(number)
