"""The batches of a training, as its trainer sees them: the same images in the same order, augmented the same way."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ..commands.run import check_network, check_sizes, describe
from ..data.augment.transform import Transform
from ..data.dataset import read_mean_image
from ..data.plan import BatchRequest, Plan
from ..data.sampler import Sampler
from ..data.sources.base import Source
from ..data.sources.registry import source_kind
from ..models.losses import Labels
from ..models.registry import model_spec
from ..roles.batch_order import batch_order
from ..system.terminal import print_stderr
from ..types import SPLITS, Split
from .settings import Settings, StrPath, arguments, read_config


class Batches:
    """The batches that one worker of a training gets. A context manager, which closes the data set."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        run: StrPath | None = None,
        config: StrPath | None = None,
        workers: int = 1,
        rank: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        """Open the data set of a training with these settings, or of the ``run`` in this folder.

        The settings are those of ``tandem.train``, and override those of the run. ``rank`` is the worker's number,
        from 0 on. Raises UserError.
        """
        own = None if run is None else Path(os.fspath(run)) / "config.yaml"
        settled = read_config(arguments(settings, config=config or own, workers=workers))
        # Decoded in this process: others would import the caller's script again.
        settled = replace(settled, data=replace(settled.data, decoders=0))
        if not 0 <= rank < settled.world_size:
            raise ValueError(f"rank is {rank}, but there are {settled.world_size} workers, from 0 on")
        check_network(settled)
        self._data = data = describe(settled)
        check_sizes(settled, data)
        kind = source_kind(settled.data)
        self.crop = model_spec(settled.model.name).crop_of(data.img_size, settled.model.variant)
        """side of the images in a batch, in pixels"""
        self.n_epochs, self._augment = settled.run.n_epochs, settled.augment
        self._device = torch.device(device)
        self._transform = Transform(settled.augment, settled.normalize, read_mean_image(data), self.crop, self._device)
        order = batch_order(settled)
        self._plan = Plan(order, settled.augment, data, rank=rank, crop=self.crop, whole_images=True)
        self._sources: dict[Split, Source] = {s: kind.open(settled.data, data, s, print_stderr) for s in SPLITS}
        self._sampler = Sampler(order, data, self._sources["train"].labels, rank)

    @property
    def classes(self) -> tuple[str, ...]:
        """The readable names of the classes, by number."""
        return tuple(c.name for c in self._data.classes)

    def __len__(self) -> int:
        """Return the number of training batches in an epoch."""
        return self._plan.train.iterations

    def training(self, epoch: int = 1) -> Iterator[tuple[Tensor, Labels]]:
        """Yield the batches of an epoch, counted from 1: images and labels.

        Images are float32 (B, 3, crop, crop), or smaller (augment.sizes), augmented and normalized; labels are int64
        (B,), or two of each image with mixup or cutmix. Raises DataError if a batch cannot be read.
        """
        return self._read(request for request in self._plan.training(epoch - 1) if request.phase == "train")

    def validation(self) -> Iterator[tuple[Tensor, Labels]]:
        """Yield the validation batches, with center crops."""
        return self._read(self._plan.validation(0))

    def close(self) -> None:
        """Close the data set."""
        for source in self._sources.values():
            source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, requests: Iterable[BatchRequest]) -> Iterator[tuple[Tensor, Labels]]:
        side = self._data.img_size
        for request in requests:
            source = self._sources["train" if request.phase == "train" else "val"]
            numbers = self._sampler.indices(request.phase, request.epoch, request.batch)
            images = np.empty((len(numbers), side, side, 3), np.uint8)
            source.read(numbers, images)
            params = torch.from_numpy(request.params).to(self._device)
            self._transform.size = self._augment.size(request.epoch, self.n_epochs) or self.crop
            labels = torch.from_numpy(source.labels[numbers]).to(self._device)
            yield (
                self._transform(torch.from_numpy(images).to(self._device), params),
                self._transform.labels(labels, params),
            )
