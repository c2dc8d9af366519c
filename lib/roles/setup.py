"""Parts that more than one role is built from."""

from collections.abc import Iterator

import torch

from lib.checkpoint import Identity, Preparation
from lib.config import Config
from lib.data.feed import Feed
from lib.data.layout import Layout, Manifest, read_classes, read_mean
from lib.data.plan import Ask
from lib.devices import choose_device, prepare
from lib.exchange.alone import Alone
from lib.exchange.base import Exchange
from lib.exchange.peer import Peer
from lib.roles.process import Context


def set_up(config: Config, rank: int) -> tuple[torch.device, torch.dtype]:
    """Choose and prepare the device of worker ``rank``; the type is what the network computes in."""
    devices = all_devices(config)
    dtype = prepare(devices[rank], config.compute, sum(device.type == "cpu" for device in devices))
    return devices[rank], dtype


def all_devices(config: Config) -> list[torch.device]:
    """The device of every worker, by rank. Raises ConfigError when one is not there."""
    n_gpus = torch.cuda.device_count()
    return [choose_device(config.devices, rank, n_gpus) for rank in range(config.world_size)]


def join(context: Context, device: torch.device) -> Exchange:
    """The exchange with all other workers."""
    rank, others = context.rank, [r for r in range(context.config.world_size) if r != context.rank]
    if not others:
        return Alone(device)
    channels = {}
    for other in others:
        low, high = sorted((rank, other))
        channels[other] = context.channel(f"trainers{low}-{high}", bind=rank == low, peer=f"trainer {other}")
    return Peer(rank, channels, device)


def open_feed(context: Context, asks: Iterator[Ask], manifest: Manifest, device: torch.device) -> Feed:
    """The feed from this worker's loader."""
    return Feed(
        context.channel(f"loader{context.rank}", bind=False, peer=f"loader {context.rank}"),
        asks,
        batch_size=context.config.batch_size,
        img_size=manifest.img_size,
        slots=context.config.data.slots,
        device=device,
    )


def identity(config: Config, manifest: Manifest) -> Identity:
    """What a checkpoint of this run belongs to."""
    return Identity(
        model=config.model.name,
        n_classes=manifest.n_classes,
        img_size=manifest.img_size,
        data_fingerprint=manifest.fingerprint,
    )


def preparation(at: Layout, manifest: Manifest) -> Preparation:
    """What a checkpoint of this run keeps of its data set."""
    return Preparation(
        resize=manifest.resize,
        mean=torch.from_numpy(read_mean(at, manifest)),
        classes=tuple((c.wnid, c.name) for c in read_classes(at)),
    )
