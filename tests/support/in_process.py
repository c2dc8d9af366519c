"""Train a small network in this process: the real trainer, a feed from memory, and one thread per worker."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from lib.checkpoints.progress import Progress
from lib.config.schema import Config
from lib.data.dataset import DataSet
from lib.data.plan import BatchRequest
from lib.data.sampler import Sampler
from lib.data.sources.registry import source_kind
from lib.data.upload import Batch
from lib.errors import DataError
from lib.exchange.alone import Alone
from lib.exchange.base import Exchange
from lib.recording.recorder import NullRecorder
from lib.roles.batch_order import batch_order
from lib.roles.learning_rate_finder import training_alone
from lib.roles.train_state import build
from lib.roles.trainer import Trainer

AnyTrainer = TypeVar("AnyTrainer", bound=Trainer)


class MemoryFeed:
    """A feed without a loader. The batch with the number ``broken``, counted from 0, cannot be read."""

    def __init__(
        self, requests: Iterator[BatchRequest], images: dict[str, Tensor], sampler: Sampler, broken: int | None
    ) -> None:
        self._requests, self._images, self._sampler, self._left = requests, images, sampler, broken
        self.waited_s, self.failure, self.asked_for = 0.0, "", 0

    def restart(self, plan: Iterator[BatchRequest]) -> None:
        self._requests = plan

    def release(self) -> None:
        pass

    def fails(self, within: int = 1) -> bool:
        if self._left == self.asked_for:
            self.failure = "00001.hkl is gone"
        return bool(self.failure)

    def __next__(self) -> Batch:
        if self.fails():
            raise DataError(self.failure)
        self.asked_for += 1
        request = next(self._requests)
        rows = self._sampler.indices(request.phase, request.epoch, request.batch, request.rollbacks)
        images = self._images["val" if request.phase.startswith("val") else "train"]
        labels = torch.from_numpy(rows % 4)
        return Batch(images[rows], labels, torch.from_numpy(request.params))


class Run:
    """A run that can be trained, stopped and resumed in this process."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.data: DataSet = source_kind(config.data).describe(config.data)
        rng = np.random.default_rng(0)
        self.images = {
            split: torch.from_numpy(rng.integers(0, 256, (count, 32, 32, 3), np.uint8))
            for split, count in (("train", 24), ("val", 16))
        }

    def train(
        self, broken: int | None = None, exchange: Exchange | None = None, rank: int = 0
    ) -> tuple[MemoryFeed, Progress, dict[str, Tensor]]:
        """Train from the latest checkpoint, if there is one; return the feed, the progress and the weights.

        With several workers, ``exchange`` is that of worker ``rank``.
        """
        worker, feed = self.worker(Trainer, broken, exchange or Alone(torch.device("cpu")), rank)
        worker.train()
        weights = worker.replica.model.state_dict()
        return feed, worker.progress, {name: value.clone() for name, value in weights.items()}

    def worker(
        self, kind: type[AnyTrainer], broken: int | None, exchange: Exchange, rank: int = 0, *, val: bool = True
    ) -> tuple[AnyTrainer, MemoryFeed]:
        """Return a trainer of this kind with its feed; without ``val`` that of training batches without an end."""
        context: Any = SimpleNamespace(
            config=self.config,
            name=f"trainer {rank}",
            rank=rank,
            sheet=SimpleNamespace(data=self.data, cache="none"),
            client=SimpleNamespace(heartbeat=lambda *_, **__: None),
            be_patient=lambda _: None,
        )
        state = build(context, exchange, torch.device("cpu"), torch.float32)
        train_labels = np.arange(len(self.images["train"])) % 4
        sampler = Sampler(batch_order(self.config), self.data, train_labels, rank)
        at = state.progress
        requests = state.plan.run(at.epoch, at.iteration) if val else training_alone(state.plan)
        feed = MemoryFeed(requests, self.images, sampler, broken)
        return kind(context, state, feed, NullRecorder()), feed  # type: ignore[arg-type]
