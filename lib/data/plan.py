"""What one worker trains and validates on, batch by batch: known in advance, so that a loader may read ahead
across the end of an epoch, and a resumed run starts in the middle of one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lib.config import Config
from lib.data.data_set import DataSet
from lib.data.layout import Pass
from lib.data.order import worker_order
from lib.data.subset import subset_order
from lib.data.views import Views, center_views, draw_views
from lib.training.rewinds import rewound


@dataclass(frozen=True, slots=True)
class Ask:
    """One batch of one worker: which it is, and the views (n, V) of its n images."""

    split: Pass
    epoch: int
    batch: int
    views: Views
    rewinds: int = 0

    @property
    def count(self) -> int:
        """Images in it: none, where the last iteration has fewer images than workers."""
        return len(self.views)


class Plan:
    """The batches of worker ``rank``."""

    def __init__(self, config: Config, data: DataSet, *, rank: int, crop: int, rewinds: int = 0) -> None:
        """``rewinds``: how often the training went back; views and order follow from it."""
        config = rewound(config, rewinds)
        self._rewinds = rewinds
        self.train = worker_order(config, data, "train", rank)
        self.val = worker_order(config, data, "val", rank)
        self.val_subset = subset_order(config, data, rank)
        self._config, self._img_size, self._crop = config, data.img_size, crop

    def training(self, epoch: int, first: int = 0) -> Iterator[Ask]:
        """The epoch's training batches from iteration ``first`` on, and between them the subset's."""
        drawn = draw_views(
            sum(self.train.file_counts),
            img_size=self._img_size,
            crop=self._crop,
            views=self._config.views,
            seed=self._config.run.seed,
            epoch=epoch,
        )
        for batch in range(first, self.train.iterations):
            if self.subset_due(batch):
                yield from self.validation_subset(epoch)
            indices = self.train.indices(epoch, batch)
            # One view a batch: that of the image whose number the iteration has, whichever the worker.
            chosen = indices if self._config.views.per_image else np.full(len(indices), batch)
            yield Ask("train", epoch, batch, drawn[chosen], self._rewinds)

    def validation(self, epoch: int) -> Iterator[Ask]:
        """All validation batches, seen at the centre."""
        for batch in range(self.val.iterations):
            count = len(self.val.indices(epoch, batch))
            yield Ask("val", epoch, batch, center_views(count, img_size=self._img_size, crop=self._crop))

    def subset_due(self, iteration: int) -> bool:
        """Whether the subset is evaluated before this iteration of an epoch: never at its ends."""
        freq = self._config.logging.val_freq
        return freq > 0 and iteration > 0 and iteration % freq == 0

    def validation_subset(self, epoch: int) -> Iterator[Ask]:
        """The batches of the subset of validation images, seen at the centre."""
        for batch in range(self.val_subset.iterations):
            count = len(self.val_subset.indices(epoch, batch))
            yield Ask("val_subset", epoch, batch, center_views(count, img_size=self._img_size, crop=self._crop))

    def run(self, epoch: int, first: int) -> Iterator[Ask]:
        """Everything from iteration ``first`` of ``epoch`` to the end of the run."""
        for number in range(epoch, self._config.run.n_epochs):
            yield from self.training(number, first if number == epoch else 0)
            yield from self.validation(number)
