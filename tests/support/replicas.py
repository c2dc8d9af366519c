"""Run several replicas in one process, each in its own thread, joined by the real peer exchange."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import torch

from lib.exchange.peer import Peer
from lib.ipc.channel import Channel
from lib.roles import replica_builder

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

    with threads(world_size) as pool:
        return list(pool.map(one, range(world_size)))


@contextmanager
def threads(world_size: int) -> Iterator[ThreadPoolExecutor]:
    """Open a pool with a thread for each replica. They draw their first weights one after another.

    PyTorch has one random generator in a process, which the replicas of a real run do not share.
    """
    build_network, one_at_a_time = replica_builder.build_network, threading.Lock()

    def locked(*args: Any) -> torch.nn.Module:
        with one_at_a_time:
            return build_network(*args)

    with mock.patch.object(replica_builder, "build_network", locked), ThreadPoolExecutor(world_size) as pool:
        yield pool
