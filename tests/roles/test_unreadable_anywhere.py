"""Whichever batch cannot be read, training stops after a meeting, and a resume from there loses nothing."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lib.config import Config, DataConfig, LoggingConfig, ModelConfig, OptimizerConfig, RunConfig
from lib.data.data_set import DataSet
from lib.data.plan import Ask, Plan
from lib.data.sources import source_kind
from lib.data.upload import Batch
from lib.errors import DataError
from lib.exchange.alone import Alone
from lib.recorder import Silence
from lib.replica import Replica
from lib.roles.setup import identity, preparation
from lib.roles.trainer import Trainer
from lib.snapshots import Progress, Snapshots
from tests.conftest import write_data_set


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads only get into each other's way with a network this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class MemoryFeed:
    """``Feed`` without a loader; the ``broken``th batch of all that are asked for cannot be read."""

    def __init__(self, asks: Iterator[Ask], images: dict[str, Tensor], plan: Plan, broken: int | None) -> None:
        self._asks, self._images, self._plan, self._left = asks, images, plan, broken
        self.waited_s, self.failure, self.asked_for = 0.0, "", 0

    def fails(self) -> bool:
        if self._left == self.asked_for:
            self.failure = "00001.hkl is gone"
        return bool(self.failure)

    def __next__(self) -> Batch:
        if self.fails():
            raise DataError(self.failure)
        self.asked_for += 1
        ask = next(self._asks)
        order = {"train": self._plan.train, "val": self._plan.val, "val_subset": self._plan.val_subset}[ask.split]
        rows = order.indices(ask.epoch, ask.batch)
        images = self._images["train" if ask.split == "train" else "val"]
        labels = torch.from_numpy(rows % 4)
        return Batch(images[rows], labels, torch.from_numpy(ask.views))


class Run:
    """Trainings of one network in this process, one after the other, in one folder."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.data: DataSet = source_kind("hickle").describe(config.data)
        rng = np.random.default_rng(0)
        self.images = {
            split: torch.from_numpy(rng.integers(0, 256, (count, 32, 32, 3), np.uint8))
            for split, count in (("train", 24), ("val", 16))
        }

    def train(self, broken: int | None = None) -> tuple[MemoryFeed, Progress, dict[str, Tensor]]:
        """Go on from the latest checkpoint, or begin; the feed, how far it came, and the weights."""
        exchange = Alone(torch.device("cpu"))
        replica = Replica(self.config, self.data, torch.device("cpu"), torch.float32, exchange)
        snapshots = Snapshots(
            self.config.run, identity(self.config, self.data), preparation(self.config, self.data), replica, 8
        )
        start = snapshots.start()
        progress = snapshots.restore(start) if start else Progress()
        plan = Plan(self.config, self.data, rank=0, crop=replica.crop)
        feed = MemoryFeed(plan.run(progress.epoch, progress.iteration), self.images, plan, broken)
        context: Any = SimpleNamespace(config=self.config, rank=0, hotline=SimpleNamespace(alive=lambda *_, **__: None))
        Trainer(
            context,
            replica=replica,
            exchange=exchange,
            feed=feed,  # type: ignore[arg-type]
            plan=plan,
            snapshots=snapshots,
            recorder=Silence(),
            progress=progress,
        ).train()
        return feed, progress, {name: value.clone() for name, value in replica.model.state_dict().items()}


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "data", train=24, val=16).dir


def config(data_set: Path, weights_dir: Path, accumulate: int, val_freq: int) -> Config:
    return Config(
        run=RunConfig(weights_dir=weights_dir, n_epochs=2),
        data=DataConfig(dir=data_set),
        model=ModelConfig(name="tiny"),
        optimizer=OptimizerConfig(accumulate=accumulate),
        logging=LoggingConfig(val_freq=val_freq, val_images=16),
        devices=("cpu",),
        batch_size=8,
    )


@pytest.mark.parametrize(("accumulate", "val_freq"), [(1, 2), (3, 2), (3, 0)])
def test_whichever_batch_it_is(tmp_path: Path, data_set: Path, accumulate: int, val_freq: int) -> None:
    feed, done, weights = Run(config(data_set, tmp_path / "undisturbed", accumulate, val_freq)).train()
    batches = 2 * (3 + val_freq + 2)  # training, a subset of two batches within it, validation; each epoch
    assert feed.asked_for == batches
    for broken in range(1, batches):
        run = Run(config(data_set, tmp_path / f"{broken}", accumulate, val_freq))
        stopped, _, _ = run.train(broken)
        assert stopped.failure
        assert (tmp_path / f"{broken}/checkpoints/latest").exists()
        _, again, resumed = run.train()
        assert again == done
        assert all(torch.equal(value, weights[name]) for name, value in resumed.items()), broken


def test_the_very_first_batch_is_an_error_at_once(tmp_path: Path, data_set: Path) -> None:
    with pytest.raises(DataError, match="is gone"):
        Run(config(data_set, tmp_path / "run", 1, 2)).train(0)
    assert not (tmp_path / "run/checkpoints").exists()
