"""The training step of this program, on random images that are on the device already."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

import torch

from benchmarks.command import ROOT
from lib.commands.configuration import parse_config
from lib.config.schema import Config
from lib.data.augment.params import draw_params
from lib.data.dataset import DataSet
from lib.data.sources.registry import source_kind
from lib.data.upload import Batch
from lib.evaluation.metrics import Meter
from lib.exchange.alone import Alone
from lib.exchange.base import Exchange
from lib.rng import Stream, torch_seed
from lib.roles.builders import init_device
from lib.roles.replica_builder import build_replica
from lib.system.cpus import usable_cores

# Training on noise at a real rate can end in NaN, which takes less power to compute.
RATE = 1e-5
# As many as the trainer's upload buffers.
_BATCHES = 2


def configuration(arguments: Sequence[str]) -> Config:
    """Return the configuration of ``train.py`` with these arguments, on synthetic data and all cores."""
    keys = ["--data.source", "synthetic", *arguments]
    config = parse_config(keys, description="", spec=ROOT / "spec_1gpu.yaml")[0]
    threads = config.compute.threads or max(1, usable_cores() // config.world_size)
    return replace(config, compute=replace(config.compute, threads=threads))


class OurStep:
    """One replica and its update, with batches that are on the device already."""

    def __init__(self, config: Config, rank: int = 0, exchange: Exchange | None = None) -> None:
        self.device, self.dtype = init_device(config, rank)
        self.data: DataSet = source_kind(config.data).describe(config.data)
        self.exchange = exchange or Alone(self.device)
        self.replica = build_replica(config, self.data, self.device, self.dtype, self.exchange)
        self.config, self._seed_rank = config, rank if config.model.parallel == "none" else 0
        self._meter = Meter(self.device)
        self._batches = cycle([self._batch(number) for number in range(_BATCHES)])
        self._iteration = 0

    def step(self) -> None:
        """Do one training iteration."""
        self.replica.step.gradients(
            next(self._batches),
            self._meter,
            loss_scale=1 / self.config.batch_size,
            iteration=self._iteration,
            seed=torch_seed(Stream.DROPOUT, 1, 0, self._iteration, self._seed_rank),
        )
        self.replica.step.update(RATE, self.config.optimizer.weight_decay)
        self.exchange.sync_stop()
        self._iteration += 1

    def images_per_s(self, iterations: int) -> float:
        """Do ``iterations`` steps and return the images per second.

        Metrics are read once at the end, as between two lines of a run.
        """
        synchronize(self.device)
        start = time.perf_counter()
        for _ in range(iterations):
            self.step()
        (loss, *_), _ = self._meter.take()
        synchronize(self.device)
        check_finite(loss)
        return iterations * self.config.batch_size / (time.perf_counter() - start)

    def _batch(self, number: int) -> Batch:
        size, side = self.config.batch_size, self.data.img_size
        params = draw_params(
            size, img_size=side, crop=self.replica.crop, augment=self.config.augment, seed=number, epoch=0
        )
        return Batch(
            torch.randint(0, 256, (size, side, side, 3), dtype=torch.uint8, device=self.device),
            torch.randint(0, self.data.n_classes, (size,), device=self.device),
            torch.from_numpy(params).to(self.device),
        )


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def check_finite(loss: float) -> None:
    """Raise ArithmeticError if the loss is NaN or infinite: the speed of such a network means nothing."""
    if not abs(loss) < float("inf"):
        raise ArithmeticError(f"the loss became {loss}: its speed means nothing")
