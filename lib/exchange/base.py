"""What the training loop asks of an exchange, whatever carries it."""

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Protocol

import torch
from torch import Tensor

from lib.errors import ReplicasDiffer


class Exchange(Protocol):
    """Makes replicas become their average, adds up figures, and lets all of them leave after the same step."""

    @property
    def stopping(self) -> bool:
        """Whether any replica had been asked to leave, as all of them last agreed; equal on all of them."""

    @property
    def stop_requested(self) -> bool:
        """Whether ``request_stop`` was called here."""

    @property
    def spent_s(self) -> float:
        """Seconds that this replica has spent in exchanges, in all."""

    lag: int
    """updates that may still be made after the one in which a replica asked to leave"""

    capturable: bool
    """whether ``all_reduce_mean`` is work of the device alone, which a CUDA graph may capture"""

    def allocate(self, numel: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Zeros (numel,) for numbers that are averaged; called equally often on all replicas, before all below."""

    def broadcast(self, segment: Tensor) -> None:
        """This stretch of allocated memory becomes that of replica 0."""

    def all_reduce_mean(self, *segments: Tensor) -> None:
        """These stretches of allocated memory, the same ones on each replica, become the mean over all replicas, bit
        for bit the same on each.
        """

    def sync_stop(self) -> None:
        """Set ``stopping``; called by all after each update."""

    def synchronize(self) -> None:
        """Wait until the device has done all that was asked of it, exchanges included."""

    def all_gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        """The values of every replica, by rank: the same list on all of them. All give equally many, after the same
        update; whether their devices have come to that is another matter.
        """

    def verify(self, segment: Tensor) -> None:
        """Raises ReplicasDiffer unless all replicas hold the same bits in this stretch of allocated memory."""

    def request_stop(self) -> None:
        """Ask all replicas to stop: ``stopping`` turns true on each after the same update."""

    def close(self) -> None:
        """Let go of the others' memory and then of our own."""


def sums(gathered: Sequence[tuple[float, ...]]) -> list[float]:
    """What ``all_gather`` returned, added up over the replicas.

    >>> sums([(1.0, 2.0), (10.0, 20.0)])
    [11.0, 22.0]
    """
    # Not ``sum``, which since Python 3.12 adds floats up in another way.
    return [reduce(operator.add, column) for column in zip(*gathered, strict=True)]


def count_differing(mine: Tensor, first: Tensor) -> int:
    """In how many numbers two stretches differ in any bit."""
    bits = {2: torch.int16, 4: torch.int32}[mine.itemsize]
    return int((mine.view(bits) != first.view(bits)).sum())


def chunks(segment: Tensor, world_size: int) -> list[Tensor]:
    """``segment`` (N,) cut into one piece a worker, each beginning at a multiple of 128 numbers."""
    size = -(-len(segment) // world_size // 128) * 128
    return [segment[rank * size : (rank + 1) * size] for rank in range(world_size)]


def refuse_differing(gathered: Sequence[tuple[float, ...]], numel: int) -> None:
    """Raises ReplicasDiffer if any replica (by rank) found ``gathered[rank][0]`` numbers unlike replica 0's."""
    for rank, (count,) in enumerate(gathered):
        if count:
            raise ReplicasDiffer(
                f"replica {rank} differs from replica 0 in {count:.0f} of {numel} numbers after an exchange; this is "
                "a fault of the program or of the hardware: go on from the last checkpoint"
            )
