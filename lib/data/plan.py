"""What one worker trains and validates on, batch by batch: known in advance, so that a loader may read ahead
across the end of an epoch, and a resumed run starts in the middle of one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lib.config import Config
from lib.data.data_set import DataSet
from lib.data.layout import Split
from lib.data.order import worker_order
from lib.data.views import Views, center_views, draw_views


@dataclass(frozen=True, slots=True)
class Ask:
    """One batch of one worker: which it is, and the views (n, V) of its n images."""

    split: Split
    epoch: int
    batch: int
    views: Views

    @property
    def count(self) -> int:
        """Images in it: none, where the last iteration has fewer images than workers."""
        return len(self.views)


class Plan:
    """The batches of worker ``rank``."""

    def __init__(self, config: Config, data: DataSet, *, rank: int, crop: int) -> None:
        self.train = worker_order(config, data, "train", rank)
        self.val = worker_order(config, data, "val", rank)
        self._config, self._img_size, self._crop = config, data.img_size, crop

    def training(self, epoch: int, first: int = 0) -> Iterator[Ask]:
        """The epoch's training batches from iteration ``first`` on."""
        drawn = draw_views(
            sum(self.train.file_counts),
            img_size=self._img_size,
            crop=self._crop,
            views=self._config.views,
            seed=self._config.run.seed,
            epoch=epoch,
        )
        for batch in range(first, self.train.iterations):
            indices = self.train.indices(epoch, batch)
            # One view a batch: that of the image whose number the iteration has, whichever the worker.
            chosen = indices if self._config.views.per_image else np.full(len(indices), batch)
            yield Ask("train", epoch, batch, drawn[chosen])

    def validation(self, epoch: int) -> Iterator[Ask]:
        """All validation batches, seen at the centre."""
        for batch in range(self.val.iterations):
            count = len(self.val.indices(epoch, batch))
            yield Ask("val", epoch, batch, center_views(count, img_size=self._img_size, crop=self._crop))

    def run(self, epoch: int, first: int) -> Iterator[Ask]:
        """Everything from iteration ``first`` of ``epoch`` to the end of the run."""
        for number in range(epoch, self._config.run.n_epochs):
            yield from self.training(number, first if number == epoch else 0)
            yield from self.validation(number)
