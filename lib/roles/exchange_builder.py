"""Build the exchange that the configuration asks for, one per worker."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import ConfigError
from ..exchange.alone import Alone
from ..exchange.base import Exchange
from ..exchange.collective import Collective
from ..exchange.device_collective import DeviceCollective
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
    arguments = context.rank, context.config.world_size, device, context.timeout_s, context.heartbeat
    if device.type != "cuda":
        return Collective(*arguments)
    return DeviceCollective(*arguments, ahead=_ahead(context))


def _hierarchical(context: Context, device: torch.device) -> Hierarchical:
    """Return an exchange whose neighbors connect through sockets in the folder of the machine's first worker."""
    collective = _collective(context, device)
    machine, local_rank = int(os.environ["GROUP_RANK"]), int(os.environ["LOCAL_RANK"])
    neighbors = find_neighbors(collective, machine, local_rank, context.folder)
    shared = replace(context, folder=neighbors.folder)
    channels = _channels(shared, local_rank, neighbors.ranks)
    devices = all_devices(context.config)
    on_device = len(channels) > 0 and have_peer_access([devices[rank] for rank in neighbors.ranks])
    across = collective.make_group_mean(neighbors.across)
    peer = _open_peer(context, local_rank, channels, device, on_device=on_device, across=across)
    return Hierarchical(collective, peer)


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
    return _open_peer(context, context.rank, channels, device, on_device=config.exchange.meet != "host" and capable)


def _open_peer(
    context: Context,
    rank: int,
    channels: Mapping[int, Channel],
    device: torch.device,
    *,
    on_device: bool,
    across: Callable[[Tensor], None] | None = None,
) -> Peer:
    if not on_device:
        return Peer(rank, channels, device, across)
    # Imported here because it needs Triton, which is not installed everywhere.
    from ..exchange.device_peer import DevicePeer  # noqa: PLC0415

    ahead, patience_s = _ahead(context), context.timeout_s
    return DevicePeer(
        rank, channels, device, ahead=ahead, patience_s=patience_s, on_wait=context.heartbeat, across=across
    )


def _ahead(context: Context) -> int:
    """Return how many updates a host may be ahead of its device: data_guard needs the batches of two more."""
    return max(0, min(MAX_AHEAD, context.config.data.slots - 3))


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
