"""Run several replicas in one process, each in its own thread, joined by the real peer exchange."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch

from lib.exchange.peer import Peer
from lib.ipc.channel import Channel

T = TypeVar("T")
CPU = torch.device("cpu")


def open_peer(folder: Path, rank: int, world_size: int, patience_s: float = 20) -> Peer:
    channels = {}
    for other in range(world_size):
        if other != rank:
            low, high = sorted((rank, other))
            path = folder / f"{low}-{high}"
            channels[other] = Channel(path, bind=rank == low, peer=f"trainer {other}", patience_s=patience_s)
    return Peer(rank, channels, CPU)


def run_replicas(world_size: int, body: Callable[[Peer, int], T], folder: Path) -> list[T]:
    """Call ``body(peer, rank)`` on every rank at once and return the results by rank."""

    def one(rank: int) -> T:
        peer = open_peer(folder, rank, world_size)
        result = body(peer, rank)
        peer.close()
        return result

    with ThreadPoolExecutor(world_size) as pool:
        return list(pool.map(one, range(world_size)))
