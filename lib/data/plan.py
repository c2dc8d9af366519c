"""The batches that one worker trains and validates on, known in advance.

A loader can therefore read ahead across the end of an epoch, and a resumed run can start in the middle of one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..config.schema import AugmentConfig
from ..rng import rollback_seed
from ..types import Phase
from .augment.params import AugmentParams, center_params, draw_params, rows_to_read
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
    rows: int = 0
    """rows of each image to read, from the top of its crop on; 0: whole images"""

    @property
    def count(self) -> int:
        """Images in the batch; 0 where the last iteration has fewer images than there are workers."""
        return len(self.params)

    @property
    def tops(self) -> tuple[int, ...]:
        """The first row to read of each image; empty for whole images."""
        return tuple(self.params[:, 0].astype(np.int64).tolist()) if self.rows else ()


class Plan:
    """The batches of worker ``rank``."""

    def __init__(
        self,
        order: BatchOrder,
        augment: AugmentConfig,
        data: DataSet,
        *,
        rank: int,
        crop: int,
        rollbacks: int = 0,
        whole_images: bool = False,
    ) -> None:
        """Draw another order and augmentation after each of ``rollbacks`` returns to a checkpoint.

        Only the rows of each crop are requested, unless the consumer needs ``whole_images``.
        """
        self._order = order = replace(order, seed=rollback_seed(order.seed, rollbacks))
        self.train = worker_order(order, data, "train", rank)
        self.val = worker_order(order, data, "val", rank)
        self.val_subset = subset_order(order, data, rank)
        size = order.batch_size * order.world_size
        self.norm_batches = min(-(-order.norm_images // size), self.train.iterations, self.train.count // size)
        """batches, all of them full, by which norms are measured after an epoch: its first ones, not augmented"""
        self._augment, self._img_size, self._crop, self._rollbacks = augment, data.img_size, crop, rollbacks
        self._val_rows = data.img_size if whole_images else crop
        self._train_rows = max(self._val_rows, rows_to_read(augment, img_size=data.img_size, crop=crop))

    @property
    def slot_shape(self) -> tuple[int, int, int]:
        """The most rows, columns and channels of an image in any batch."""
        return self._train_rows, self._img_size, 3

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
            yield self._request("train", epoch, batch, drawn[chosen], self._train_rows)

    def validation(self, epoch: int) -> Iterator[BatchRequest]:
        """Yield all validation batches, with center crops."""
        return self._centered("val", self.val, epoch)

    def norms(self, epoch: int) -> Iterator[BatchRequest]:
        """Yield the batches by which norms are measured after the epoch, with center crops."""
        return self._centered("norms", self.train, epoch, self.norm_batches)

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
            yield from self.norms(number)
            yield from self.validation(number)

    def _centered(
        self, phase: Phase, order: WorkerOrder, epoch: int, batches: int | None = None
    ) -> Iterator[BatchRequest]:
        for batch in range(order.iterations if batches is None else batches):
            count = len(order.indices(epoch, batch))
            params = center_params(count, img_size=self._img_size, crop=self._crop)
            yield self._request(phase, epoch, batch, params, self._val_rows)

    def _request(self, phase: Phase, epoch: int, batch: int, params: AugmentParams, rows: int) -> BatchRequest:
        rollbacks = self._rollbacks if phase in ("train", "norms") else 0
        return BatchRequest(phase, epoch, batch, params, rollbacks, rows if rows < self._img_size else 0)
