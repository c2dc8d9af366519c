"""Parts that more than one role is built from."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from lib.checkpoints.checkpoint import Identity, Preparation
from lib.config.schema import Config
from lib.data.dataset import DataSet, read_mean_image
from lib.data.feed import Feed
from lib.data.plan import BatchRequest
from lib.errors import ConfigError
from lib.exchange.alone import Alone
from lib.exchange.base import Exchange
from lib.exchange.collective import Collective
from lib.exchange.hierarchical import Hierarchical, find_neighbours
from lib.exchange.peer import Peer
from lib.ipc.channel import Channel
from lib.runtime.placement import LAUNCHED
from lib.runtime.process import Context
from lib.system.devices import choose_device, prepare

MOST_AHEAD = 2
"""updates that a host may be ahead of its GPU: one that the GPU computes, one that waits"""
# What the kernels of a meeting on the device are written for.
_MOST_DEVICES = 8


def init_device(config: Config, rank: int) -> tuple[torch.device, torch.dtype]:
    """Choose and prepare the device of worker ``rank``; the type is what the network computes in."""
    devices = all_devices(config)
    n_cpu_workers = sum(device.type == "cpu" for device in devices)
    dtype = prepare(
        devices[rank],
        precision=config.compute.precision,
        deterministic=config.compute.deterministic,
        threads=config.compute.threads or max(1, len(os.sched_getaffinity(0)) // max(1, n_cpu_workers)),
    )
    return devices[rank], dtype


def all_devices(config: Config) -> list[torch.device]:
    """The device of every worker, by rank. Raises ConfigError when one is not there."""
    n_gpus = torch.cuda.device_count()
    return [choose_device(config.devices, rank, n_gpus) for rank in range(config.world_size)]


def join(context: Context, device: torch.device) -> Exchange:
    """The exchange with all other workers."""
    rank, config = context.rank, context.config
    if config.world_size == 1:
        return Alone(device)
    if config.exchange.method in LAUNCHED:
        everyone = Collective(rank, config.world_size, device, context.last_resort_s, context.heartbeat)
        return everyone if config.exchange.method == "collective" else _hierarchical(context, everyone, device)
    channels = {}
    for other in range(config.world_size):
        if other != rank:
            low, high = sorted((rank, other))
            channels[other] = context.channel(f"trainers{low}-{high}", bind=rank == low, peer=f"trainer {other}")
    return _peer(context, channels, device)


def _hierarchical(context: Context, everyone: Collective, device: torch.device) -> Hierarchical:
    """Neighbours meet in the folder of the first of them."""
    machine, local_rank = int(os.environ["GROUP_RANK"]), int(os.environ["LOCAL_RANK"])
    neighbours = find_neighbours(everyone, machine, local_rank, context.folder)
    there = replace(context, folder=neighbours.folder)
    channels = {}
    for other, rank in enumerate(neighbours.ranks):
        if other != local_rank:
            low, high = sorted((local_rank, other))
            channels[other] = there.channel(f"neighbours{low}-{high}", bind=local_rank == low, peer=f"trainer {rank}")
    return Hierarchical(everyone, neighbours, local_rank, channels, device)


def _peer(context: Context, channels: dict[int, Channel], device: torch.device) -> Peer:
    """Raises ConfigError where ``exchange.meet`` is device and the devices cannot."""
    config, devices = context.config, all_devices(context.config)
    can = meet_themselves(devices)
    if config.exchange.meet == "device" and not can:
        raise ConfigError(
            f"exchange.meet is device, but {', '.join(map(str, devices))} are not GPUs of their own that reach each "
            "other's memory; use host"
        )
    if config.exchange.meet == "host" or not can:
        return Peer(context.rank, channels, device)
    # Only here: it needs Triton, which is not everywhere.
    from lib.exchange.device_peer import DevicePeer  # noqa: PLC0415

    return DevicePeer(
        context.rank,
        channels,
        device,
        ahead=max(0, min(MOST_AHEAD, config.data.slots - 3)),  # two batches more are to be there: see the trainer
        patience_s=context.last_resort_s,
        on_wait=context.heartbeat,
    )


def meet_themselves(devices: Sequence[torch.device]) -> bool:
    """Whether these are GPUs, at most eight, each worker's its own, that reach each other's memory."""
    gpus = [device for device in devices if device.type == "cuda"]
    own = len(set(gpus)) == len(devices) <= _MOST_DEVICES
    return own and all(torch.cuda.can_device_access_peer(a, b) for a in gpus for b in gpus if a != b)


def open_feed(context: Context, requests: Iterator[BatchRequest], data: DataSet, device: torch.device) -> Feed:
    """The feed from this worker's loader."""
    return Feed(
        context.channel(f"loader{context.rank}", bind=False, peer=f"loader {context.rank}"),
        requests,
        batch_size=context.config.batch_size,
        img_size=data.img_size,
        slots=context.config.data.slots,
        device=device,
    )


def identity(config: Config, data: DataSet) -> Identity:
    """What a checkpoint of this run belongs to."""
    return Identity(
        model=config.model.name,
        n_classes=data.n_classes,
        img_size=data.img_size,
        data_fingerprint=data.fingerprint,
    )


def preparation(config: Config, data: DataSet) -> Preparation:
    """What a checkpoint of this run keeps of its data set and of how that is seen."""
    return Preparation(
        resize=data.resize,
        mean=torch.from_numpy(read_mean_image(data)),
        classes=tuple((c.wnid, c.name) for c in data.classes),
        subtracted=config.normalize.mean,
        std=config.normalize.std,
    )
