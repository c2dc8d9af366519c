"""The loader role: read each requested batch into the slot that the trainer lends for it.

It draws no random numbers except for the order of images, and never imports CUDA or torch.
"""

import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ..data.attempts import attempts_to_read
from ..data.retry import retry
from ..data.sampler import Sampler
from ..data.sources.base import PendingRead, Source
from ..data.worker_count import AdaptiveCount
from ..errors import DataError
from ..ipc import shared_memory
from ..ipc.channel import Channel
from ..ipc.messages import Fill, Filled, Stop, TensorHandle, Unreadable
from ..runtime.process import Context, run_role
from ..types import Phase
from .batch_order import batch_order
from .sources import open_sources

# With data.verify, the first batch of 256 images may have to read 256 whole files of 50 MB to check them.
_VERIFY_FACTOR = 10


def run(context: Context) -> None:
    """Open the data set and fill slots until the trainer sends ``Stop``."""
    # A trainer that receives SIGTERM finishes its iteration and then sends Stop, so the loader ignores the signal.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    config, data = context.config, context.sheet.data
    context.be_patient("opening the data set")
    train, val, count = open_sources(context)
    sources: dict[Phase, Source] = {"train": train, "norms": train, "val": val, "val_subset": val}
    channel = context.channel(f"loader{context.rank}", bind=True, peer=f"trainer {context.rank}")
    sampler = Sampler(batch_order(config), data, train.labels, context.rank)
    try:
        serve(context, channel, sources, sampler, count)
    finally:
        for source in (train, val):
            source.close()
    channel.close()


def serve(
    context: Context, channel: Channel, sources: dict[Phase, Source], sampler: Sampler, count: AdaptiveCount
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
                if count.observe(time.monotonic(), waited_s):
                    for opened in sources.values():
                        opened.resize(count.value)
                rows = sampler.indices(split, epoch, number, rollbacks)
                labels[slot, : len(rows)] = source.labels[rows]
                doing = f"reading {split} batch {number} of epoch {epoch + 1}"
                _heartbeat(context, doing)
                attempts = attempts_to_read(source, rows, images[slot], n_rows, tops)
                pending.append(_PendingBatch(slot, number, len(rows), doing, attempts))


class _PendingBatch(NamedTuple):
    """A batch that is being read into a slot."""

    slot: int
    number: int
    images: int
    doing: str
    attempts: Iterator[PendingRead]
    """the first one waits for the read that was started; each further one reads the batch again"""


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
