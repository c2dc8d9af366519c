"""The loader role: wait to be lent a slot, fill it, say so.

It knows neither chance nor devices beyond the order of images, and never touches CUDA or torch.
"""

import resource
import signal
import sys
from typing import Any

from numpy.typing import NDArray

from lib.data.layout import SPLITS, Split
from lib.data.order import Sampling, WorkerOrder, sampling, worker_order
from lib.data.source import Source
from lib.data.sources import source_kind
from lib.ipc import shared
from lib.ipc.channel import Channel
from lib.ipc.messages import Fill, Filled, Share, Stop
from lib.roles.process import Context, run_role


def run(context: Context) -> None:
    # Ctrl-C and SIGTERM are for the trainer, which finishes its iteration and then sends Stop.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _allow_many_files()
    config, data = context.config, context.sheet.data
    kind = source_kind(config.data.source)
    sources = {split: kind.open(config.data, data, split, context.warn) for split in SPLITS}
    channel = context.channel(f"loader{context.rank}", bind=True, peer=f"trainer {context.rank}")
    orders = {split: worker_order(config, data, split, context.rank) for split in SPLITS}
    samplings = {split: sampling(config, data, split, sources[split].labels) for split in SPLITS}
    try:
        serve(context, channel, sources, orders, samplings)
    finally:
        for source in sources.values():
            source.close()
    channel.close()


def serve(
    context: Context,
    channel: Channel,
    sources: dict[Split, Source],
    orders: dict[Split, WorkerOrder],
    samplings: dict[Split, Sampling],
) -> None:
    """Fill slots until told to stop."""
    images: NDArray[Any] = shared.attach(channel.receive(Share))
    labels: NDArray[Any] = shared.attach(channel.receive(Share))
    while True:
        match channel.receive(Fill, Stop):
            case Stop():
                channel.send(Stop())
                return
            case Fill(slot, split, epoch, batch):
                context.hotline.alive(f"reading {split} batch {batch} of epoch {epoch + 1}")
                rows = samplings[split].images(epoch, orders[split].indices(epoch, batch))
                sources[split].rows(rows, images[slot, : len(rows)])
                labels[slot, : len(rows)] = sources[split].labels[rows]
                channel.send(Filled(slot, batch, len(rows)))


def _allow_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(run_role("loader", run))
