"""Run a loader process and the trainer's end of it, without training."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

import torch
import zmq

from benchmarks.command import ROOT
from lib.config.schema import Config
from lib.data.dataset import DataSet
from lib.data.feed import Feed
from lib.data.plan import Plan
from lib.data.slots import create_slots
from lib.data.sources.registry import source_kind
from lib.errors import PeerLost
from lib.ipc.channel import Channel
from lib.ipc.messages import Failed, decode
from lib.models.registry import model_spec
from lib.roles.batch_order import batch_order
from lib.runtime.process import RunSheet, write_run_sheet
from lib.types import Split


class Feeding:
    """The batches of worker 0, epoch after epoch of ``split`` without end, from a loader process."""

    def __init__(self, folder: Path, config: Config, device: torch.device, split: Split, whole_images: bool) -> None:
        """``folder`` must be empty and private: it holds the sockets."""
        self.data: DataSet = source_kind(config.data).describe(config.data)
        self.crop = model_spec(config.model.name).crop_of(self.data.img_size, config.model.variant)
        self.slots = config.data.slots
        write_run_sheet(folder, RunSheet(config, self.data, os.getpid()))
        self._context = zmq.Context()
        self._client = self._context.socket(zmq.PULL)
        self._client.bind(f"ipc://{folder / 'supervisor'}")
        self._loader = subprocess.Popen([sys.executable, "-m", "lib.roles.loader", str(folder), "0"], cwd=ROOT)
        patience_s = config.run.patience_s
        self._channel = Channel(
            folder / "loader0", bind=False, peer="loader 0", patience_s=patience_s, on_wait=self._check
        )
        plan = Plan(batch_order(config), config.augment, self.data, rank=0, crop=self.crop, whole_images=whole_images)
        requests = plan.training if split == "train" else plan.validation
        slots = create_slots(device, slots=self.slots, batch_size=config.batch_size, slot_shape=plan.slot_shape)
        self.feed = Feed(self._channel, chain.from_iterable(requests(epoch) for epoch in count()), slots)

    @property
    def pid(self) -> int:
        """The process number of the loader."""
        return self._loader.pid

    def close(self) -> None:
        """End the loader, in whatever state it is, and release the slots.

        Memory that stays page-locked cannot be page-locked again.
        """
        try:
            if self._loader.poll() is None:
                self.feed.close()
        finally:
            self._loader.kill()
            self._loader.wait()
            self._channel.close(linger_s=0)
            self._context.destroy(linger=0)

    def _check(self, doing: str) -> None:
        """Raise PeerLost with the loader's error if it has ended."""
        if self._loader.poll() is None:
            return
        reason = ""
        while self._client.poll(100):
            message = decode(self._client.recv())
            reason = message.error if isinstance(message, Failed) else reason
        raise PeerLost(f"the loader ended with status {self._loader.returncode}: {reason}")


@contextlib.contextmanager
def feeding(
    config: Config, device: torch.device, split: Split = "train", *, whole_images: bool = False
) -> Iterator[Feeding]:
    """Yield a ``Feeding`` that is closed at the end of the block. As in training, it reads the rows of the crops."""
    with tempfile.TemporaryDirectory(prefix="feed-") as folder:
        fed = Feeding(Path(folder), config, device, split, whole_images)
        try:
            yield fed
        finally:
            fed.close()
