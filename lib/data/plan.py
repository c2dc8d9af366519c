"""The batches that one worker trains and validates on, known in advance.

A loader can therefore read ahead across the end of an epoch, and a resumed run can start in the middle of one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..config.schema import AugmentConfig
from ..rng import rollback_seed
from ..types import Phase
from .augment.params import AugmentParams, center_params, draw_params
from .dataset import DataSet
from .order import BatchOrder, WorkerOrder, subset_order, worker_order


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One batch of one worker: its place in the run, and the augmentation parameters (n, V) of its n images."""

    phase: Phase
    epoch: int
    batch: int
    params: AugmentParams
    rollbacks: int = 0

    @property
    def count(self) -> int:
        """Images in the batch; 0 where the last iteration has fewer images than there are workers."""
        return len(self.params)


class Plan:
    """The batches of worker ``rank``."""

    def __init__(
        self, order: BatchOrder, augment: AugmentConfig, data: DataSet, *, rank: int, crop: int, rollbacks: int = 0
    ) -> None:
        """Draw another order and augmentation after each of ``rollbacks`` returns to a checkpoint."""
        self._order = order = replace(order, seed=rollback_seed(order.seed, rollbacks))
        self.train = worker_order(order, data, "train", rank)
        self.val = worker_order(order, data, "val", rank)
        self.val_subset = subset_order(order, data, rank)
        self._augment, self._img_size, self._crop, self._rollbacks = augment, data.img_size, crop, rollbacks

    def training(self, epoch: int, first: int = 0) -> Iterator[BatchRequest]:
        """Yield the epoch's training batches from iteration ``first`` on, and those of the subset between them."""
        drawn = draw_params(
            self.train.count,
            img_size=self._img_size,
            crop=self._crop,
            augment=self._augment,
            seed=self._order.seed,
            epoch=epoch,
        )
        for batch in range(first, self.train.iterations):
            if self.subset_due(batch):
                yield from self.validation_subset(epoch)
            indices = self.train.indices(epoch, batch)
            # One draw for the batch of all workers: that of the image whose number is the iteration.
            chosen = indices if self._augment.per_image else np.full(len(indices), batch)
            yield BatchRequest("train", epoch, batch, drawn[chosen], self._rollbacks)

    def validation(self, epoch: int) -> Iterator[BatchRequest]:
        """Yield all validation batches, with center crops."""
        return self._centered("val", self.val, epoch)

    def subset_due(self, iteration: int) -> bool:
        """Return whether the subset is evaluated before this iteration. It never is at the ends of an epoch."""
        freq = self._order.val_freq
        return freq > 0 and iteration > 0 and iteration % freq == 0

    def validation_subset(self, epoch: int) -> Iterator[BatchRequest]:
        """Yield the batches of the validation subset, with center crops."""
        return self._centered("val_subset", self.val_subset, epoch)

    def run(self, epoch: int, first: int) -> Iterator[BatchRequest]:
        """Yield every batch from iteration ``first`` of ``epoch`` to the end of the run."""
        for number in range(epoch, self._order.n_epochs):
            yield from self.training(number, first if number == epoch else 0)
            yield from self.validation(number)

    def _centered(self, phase: Phase, order: WorkerOrder, epoch: int) -> Iterator[BatchRequest]:
        for batch in range(order.iterations):
            count = len(order.indices(epoch, batch))
            params = center_params(count, img_size=self._img_size, crop=self._crop)
            yield BatchRequest(phase, epoch, batch, params)
