"""The loader role: wait to be lent a slot, fill it, say so.

It knows neither chance nor devices beyond the order of images, and never touches CUDA or torch.
"""

import signal
import sys
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lib.data.retry import retry
from lib.data.sampler import Sampler
from lib.data.sources.base import PendingRead, Source
from lib.data.sources.registry import source_kind
from lib.errors import DataError
from lib.ipc import shared_memory
from lib.ipc.channel import Channel
from lib.ipc.messages import Fill, Filled, Stop, TensorHandle, Unreadable
from lib.roles.batch_order import batch_order
from lib.runtime.process import Context, run_role
from lib.types import SPLITS, Phase

# With data.verify a first batch of 256 images may have to read 256 files of 50 MB.
_SLOWER_WITH_VERIFY = 10


def run(context: Context) -> None:
    """Fill slots as the trainer lends them, until it says stop. Raises DataError when a file has gone bad."""
    # SIGTERM is for the trainer, which finishes its iteration and then sends Stop.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    config, data = context.config, context.sheet.data
    kind = source_kind(config.data.source)
    train, val = (kind.open(config.data, data, split, context.warn) for split in SPLITS)
    sources: dict[Phase, Source] = {"train": train, "val": val, "val_subset": val}
    channel = context.channel(f"loader{context.rank}", bind=True, peer=f"trainer {context.rank}")
    sampler = Sampler(batch_order(config), data, train.labels, context.rank)
    try:
        serve(context, channel, sources, sampler)
    finally:
        for source in (train, val):
            source.close()
    channel.close()


def serve(context: Context, channel: Channel, sources: dict[Phase, Source], sampler: Sampler) -> None:
    """Fill slots until told to stop, or until a batch cannot be read; then only wait to be told.

    What is lent is begun at once, so that the readers always know what comes next, and handed over in that order.
    """
    images: NDArray[Any] = shared_memory.attach(channel.receive(TensorHandle))
    labels: NDArray[Any] = shared_memory.attach(channel.receive(TensorHandle))
    begun: deque[_Begun] = deque()
    while True:
        if begun and not channel.ready():
            batch = begun.popleft()
            try:
                _finish(context, batch)
            except DataError as error:
                channel.send(Unreadable(batch.number, str(error)))
                _wait_for_stop(channel)
                return
            channel.send(Filled(batch.slot, batch.number, batch.images))
            continue
        match channel.receive(Fill, Stop):
            case Stop():
                context.heartbeat("stopping")
                channel.send(Stop())
                return
            case Fill(slot, split, epoch, number, rollbacks):
                source = sources[split]
                rows = sampler.indices(split, epoch, number, rollbacks)
                labels[slot, : len(rows)] = source.labels[rows]
                doing = f"reading {split} batch {number} of epoch {epoch + 1}"
                _alive(context, doing)
                attempts = _attempts(source, rows, images[slot, : len(rows)])
                begun.append(_Begun(slot, number, len(rows), doing, attempts))


class _Begun(NamedTuple):
    """A batch that is being read."""

    slot: int
    number: int
    images: int
    doing: str
    attempts: Iterator[PendingRead]
    """what waits for it; each further one begins anew"""

    def attempt(self) -> None:
        next(self.attempts)()


def _attempts(source: Source, rows: NDArray[np.int64], out: NDArray[np.uint8]) -> Iterator[PendingRead]:
    again = partial(source.read, rows, out)
    try:
        return chain([source.begin_read(rows, out)], repeat(again))
    except DataError:
        return repeat(again)  # when its turn comes


def _finish(context: Context, batch: _Begun) -> None:
    """Wait for a batch, and begin it again and again where ``data.on_error`` says so. Raises its DataError."""
    config = context.config
    _alive(context, batch.doing)
    retry(
        batch.attempt,
        patience_s=config.run.patience_s if config.data.on_error == "wait" else 0.0,
        warn=context.warn,
        heartbeat=context.heartbeat,
    )


def _alive(context: Context, doing: str) -> None:
    slower = _SLOWER_WITH_VERIFY if context.config.data.verify else 1
    context.heartbeat(doing, patience_s=slower * context.config.run.patience_s)


def _wait_for_stop(channel: Channel) -> None:
    """The trainer first saves what it has; the slots it has lent meanwhile stay empty."""
    while not isinstance(channel.receive(Fill, Stop), Stop):
        pass
    channel.send(Stop())


if __name__ == "__main__":
    sys.exit(run_role("loader", run))
