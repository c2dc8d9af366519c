"""The loader role: wait to be lent a slot, fill it, say so.

It knows neither chance nor devices beyond the order of images, and never touches CUDA or torch.
"""

import resource
import signal
import sys
from typing import Any

from numpy.typing import NDArray

from lib.data.hickle_batches import HickleBatches
from lib.data.layout import SPLITS, Pass, layout, read_manifest
from lib.data.order import WorkerOrder, worker_order
from lib.data.source import Source
from lib.data.subset import SubsetOrder, subset_order
from lib.ipc import shared
from lib.ipc.channel import Channel
from lib.ipc.messages import Fill, Filled, Share, Stop
from lib.roles.process import Context, run_role


def run(context: Context) -> None:
    # Ctrl-C and SIGTERM are for the trainer, which finishes its iteration and then sends Stop.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _allow_many_files()
    config = context.config
    at = layout(config.data.dir, config.data.misc_dir)
    manifest = read_manifest(at)
    train, val = (HickleBatches(at, manifest, split, config.data.readers) for split in SPLITS)
    sources: dict[Pass, Source] = {"train": train, "val": val, "val_subset": val}
    channel = context.channel(f"loader{context.rank}", bind=True, peer=f"trainer {context.rank}")
    orders: dict[Pass, WorkerOrder | SubsetOrder] = {
        "train": worker_order(config, manifest, "train", context.rank),
        "val": worker_order(config, manifest, "val", context.rank),
        "val_subset": subset_order(config, manifest, context.rank),
    }
    serve(context, channel, sources, orders)
    for source in (train, val):
        source.close()
    channel.close()


def serve(
    context: Context,
    channel: Channel,
    sources: dict[Pass, Source],
    orders: dict[Pass, WorkerOrder | SubsetOrder],
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
                rows = orders[split].indices(epoch, batch)
                sources[split].rows(rows, images[slot, : len(rows)])
                labels[slot, : len(rows)] = sources[split].labels[rows]
                channel.send(Filled(slot, batch, len(rows)))


def _allow_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(run_role("loader", run))
