"""Build the exchange that the configuration asks for, one per worker."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ..errors import ConfigError
from ..exchange.alone import Alone
from ..exchange.base import Exchange
from ..exchange.collective import Collective
from ..exchange.hierarchical import Hierarchical, find_neighbors
from ..exchange.peer import Peer
from ..ipc.channel import Channel
from ..runtime.process import Context
from .builders import MAX_AHEAD, all_devices

_MAX_DEVICES = 8  # of the kernels of the device exchange


def build_exchange(context: Context, device: torch.device) -> Exchange:
    """Return this worker's exchange with all others, as ``exchange.method`` says."""
    method = context.config.exchange.method if context.config.world_size > 1 else "none"
    return EXCHANGES[method](context, device)


def _alone(_: Context, device: torch.device) -> Exchange:
    return Alone(device)


def _collective(context: Context, device: torch.device) -> Collective:
    return Collective(context.rank, context.config.world_size, device, context.timeout_s, context.heartbeat)


def _hierarchical(context: Context, device: torch.device) -> Hierarchical:
    """Return an exchange whose neighbors connect through sockets in the folder of the machine's first worker."""
    collective = _collective(context, device)
    machine, local_rank = int(os.environ["GROUP_RANK"]), int(os.environ["LOCAL_RANK"])
    neighbors = find_neighbors(collective, machine, local_rank, context.folder)
    shared = replace(context, folder=neighbors.folder)
    return Hierarchical(collective, neighbors, local_rank, _channels(shared, local_rank, neighbors.ranks), device)


def _peer(context: Context, device: torch.device) -> Peer:
    """Return the exchange within one machine. Raises ConfigError if the devices cannot do ``exchange.meet`` device."""
    config, devices = context.config, all_devices(context.config)
    channels = _channels(context, context.rank, range(config.world_size))
    capable = have_peer_access(devices)
    if config.exchange.meet == "device" and not capable:
        raise ConfigError(
            f"exchange.meet is device, but {', '.join(map(str, devices))} are not distinct GPUs that can access each "
            "other's memory; use host"
        )
    if config.exchange.meet == "host" or not capable:
        return Peer(context.rank, channels, device)
    # Imported here because it needs Triton, which is not installed everywhere.
    from ..exchange.device_peer import DevicePeer  # noqa: PLC0415

    return DevicePeer(
        context.rank,
        channels,
        device,
        ahead=max(0, min(MAX_AHEAD, config.data.slots - 3)),  # data_guard needs the batches of two more updates
        patience_s=context.timeout_s,
        on_wait=context.heartbeat,
    )


EXCHANGES: dict[str, Callable[[Context, torch.device], Exchange]] = {
    "none": _alone,
    "peer": _peer,
    "collective": _collective,
    "hierarchical": _hierarchical,
}


def have_peer_access(devices: Sequence[torch.device]) -> bool:
    """Return whether these are distinct GPUs, at most eight, that can access each other's memory."""
    gpus = [device for device in devices if device.type == "cuda"]
    distinct = len(set(gpus)) == len(devices) <= _MAX_DEVICES
    return distinct and all(torch.cuda.can_device_access_peer(a, b) for a in gpus for b in gpus if a != b)


def _channels(context: Context, own: int, ranks: Sequence[int]) -> dict[int, Channel]:
    """Return the channels of ``ranks[own]`` to each of the others, by index into ``ranks``."""
    channels = {}
    for other, rank in enumerate(ranks):
        if other != own:
            low, high = sorted((own, other))
            channels[other] = context.channel(f"trainers{low}-{high}", bind=own == low, peer=f"trainer {rank}")
    return channels
