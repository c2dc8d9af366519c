"""The loader role: read each requested batch into the slot that the trainer lends for it.

It draws no random numbers except for the order of images, and never imports CUDA or torch.
"""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config.schema import DataConfig
from ..data.retry import retry
from ..data.sampler import Sampler
from ..data.slot import packed_images
from ..data.sources.base import PendingRead, Source, SynchronousSource, Tops
from ..data.sources.in_memory import InMemory
from ..data.sources.registry import source_kind
from ..data.worker_count import AdaptiveCount, adaptive_count, readers, with_counts
from ..errors import DataError
from ..ipc import shared_memory
from ..ipc.channel import Channel
from ..ipc.messages import Fill, Filled, Stop, TensorHandle, Unreadable
from ..runtime.process import Context, run_role
from ..runtime.torchrun import local_workers
from ..types import SPLITS, Phase, Split
from .batch_order import batch_order

# With data.verify, the first batch of 256 images may have to read 256 whole files of 50 MB to check them.
_VERIFY_FACTOR = 10


def run(context: Context) -> None:
    """Open the data set and fill slots until the trainer sends ``Stop``."""
    # A trainer that receives SIGTERM finishes its iteration and then sends Stop, so the loader ignores the signal.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    config, data = context.config, context.sheet.data
    context.be_patient("opening the data set")
    kind, counts = source_kind(config.data), with_counts(config.data, local_workers(config.world_size, os.environ))
    counts = replace(counts, cache=context.sheet.cache)
    train, val = (open_split(context, counts, split) for split in SPLITS)
    for source in (train, val):
        if isinstance(source, SynchronousSource):
            source.heartbeat = context.heartbeat
    sources: dict[Phase, Source] = {"train": train, "val": val, "val_subset": val}
    channel = context.channel(f"loader{context.rank}", bind=True, peer=f"trainer {context.rank}")
    sampler = Sampler(batch_order(config), data, train.labels, context.rank)
    try:
        serve(context, channel, sources, sampler, adaptive_count(config.data, counts, kind.resized_by))
    finally:
        for source in (train, val):
            source.close()
    channel.close()


def open_split(context: Context, config: DataConfig, split: Split) -> Source:
    """Open one split, from ``data.cache: memory`` if it is there."""
    data, cached = context.sheet.data, context.sheet.cached
    if not cached:
        return source_kind(config).open(config, data, split, context.warn)
    images, labels = (shared_memory.attach(handle) for handle in (cached[split].images, cached[split].labels))
    return InMemory(images, labels, img_size=data.img_size, resize=data.resize, threads=readers(config.readers))


def serve(
    context: Context,
    channel: Channel,
    sources: dict[Phase, Source],
    sampler: Sampler,
    count: AdaptiveCount | None = None,
) -> None:
    """Fill slots until the trainer sends ``Stop``. After a batch that cannot be read, only wait for it.

    Reading starts as soon as a slot is lent, so the readers always have work. Slots are returned in the order in which
    they were lent. ``count`` follows what the trainer waits, and the sources follow it.
    """
    images: NDArray[Any] = shared_memory.attach(channel.receive(TensorHandle))
    labels: NDArray[Any] = shared_memory.attach(channel.receive(TensorHandle))
    pending: deque[_PendingBatch] = deque()
    while True:
        if pending and not channel.ready():
            batch = pending.popleft()
            try:
                _finish(context, batch)
            except DataError as error:
                channel.send(Unreadable(batch.number, str(error)))
                while not isinstance(channel.receive(Fill, Stop), Stop):
                    pass  # the trainer first saves a checkpoint
                channel.send(Stop())
                return
            channel.send(Filled(batch.slot, batch.number, batch.images))
            continue
        match channel.receive(Fill, Stop):
            case Stop():
                context.heartbeat("stopping")
                channel.send(Stop())
                return
            case Fill(slot, split, epoch, number, rollbacks, n_rows, tops, waited_s):
                source = sources[split]
                if count and count.observe(time.monotonic(), waited_s):
                    for opened in sources.values():
                        opened.resize(count.value)
                rows = sampler.indices(split, epoch, number, rollbacks)
                labels[slot, : len(rows)] = source.labels[rows]
                doing = f"reading {split} batch {number} of epoch {epoch + 1}"
                _heartbeat(context, doing)
                if images.dtype == np.int64:  # the trainer's GPU reads the images itself
                    images[slot, : len(rows)] = rows
                    attempts: Iterator[PendingRead] = repeat(_nothing)
                else:
                    out = packed_images(images[slot], len(rows), n_rows)
                    attempts = _attempts(source, rows, out, tops if n_rows else None)
                pending.append(_PendingBatch(slot, number, len(rows), doing, attempts))


class _PendingBatch(NamedTuple):
    """A batch that is being read into a slot."""

    slot: int
    number: int
    images: int
    doing: str
    attempts: Iterator[PendingRead]
    """the first one waits for the read that was started; each further one reads the batch again"""


def _nothing() -> None:
    """Wait for nothing."""


def _attempts(source: Source, rows: NDArray[np.int64], out: NDArray[np.uint8], tops: Tops) -> Iterator[PendingRead]:
    """Return the attempts to read ``rows``, the first of which has been started. Errors are raised by the attempts."""

    def again() -> None:
        source.begin_read(rows, out, tops)()

    try:
        return chain([source.begin_read(rows, out, tops)], repeat(again))
    except DataError:
        return repeat(again)  # raises again when the batch is due, in its order


def _finish(context: Context, batch: _PendingBatch) -> None:
    """Wait until ``batch`` is read. Retry if ``data.on_error`` is wait. Raises DataError if it cannot be read."""
    patience_s = context.config.run.patience_s if context.config.data.on_error == "wait" else 0.0
    _heartbeat(context, batch.doing)

    def attempt() -> None:
        next(batch.attempts)()

    retry(attempt, patience_s=patience_s, warn=context.warn, heartbeat=context.heartbeat)


def _heartbeat(context: Context, doing: str) -> None:
    factor = _VERIFY_FACTOR if context.config.data.verify else 1
    context.heartbeat(doing, patience_s=factor * context.config.run.patience_s)


if __name__ == "__main__":
    sys.exit(run_role("loader", run))
