"""The interface between the training loop and an exchange, and functions that several exchanges use."""

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Protocol

import torch
from torch import Tensor

from ..errors import ReplicasDiffer
from .activations import Activations

MAX_GATHERED = 4
"""replicas of which each gathers the bfloat16 gradients of all: more would move fewer bytes as a float32 mean"""


class Exchange(Protocol):
    """Averages tensors over all replicas, gathers metrics, and makes all replicas stop after the same update.

    A segment is a contiguous part (N,) of a tensor that ``allocate`` returned. All replicas call the methods in the
    same order, each with the same segment.
    """

    rank: int
    world_size: int

    @property
    def stopping(self) -> bool:
        """Whether any replica requested a stop before the last synchronization; equal on all replicas."""

    @property
    def stop_requested(self) -> bool:
        """Whether ``request_stop`` was called on this replica."""

    @property
    def exchanged_s(self) -> float:
        """Total seconds that this replica has spent in exchanges."""

    lag: int
    """updates that may follow the one in which a replica requested a stop"""

    capturable: bool
    """whether ``all_reduce_mean`` runs on the device alone, so that a CUDA graph may capture it"""

    def allocate(self, numel: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return zeros (numel,) that the exchange can average. Called before all methods below."""

    def open_activations(self, n_bytes: int) -> Activations:
        """Return what moves up to ``n_bytes`` of a layer's activations at once. Called like ``allocate``."""

    def broadcast(self, segment: Tensor) -> None:
        """Copy the segment of replica 0 to all replicas."""

    def all_reduce_mean(self, *segments: Tensor) -> None:
        """Replace each segment by its mean over all replicas, bit for bit the same on each."""

    def gather(self, segment: Tensor) -> list[Tensor]:
        """Return the segment of every replica, in rank order, which the next segments do not change.

        Return an empty list where ``all_reduce_mean`` of twice the bytes moves fewer.
        """

    def sync_stop(self) -> None:
        """Update ``stopping``. Called after each update."""

    def synchronize(self) -> None:
        """Wait until the device has finished all work, exchanges included."""

    def all_gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        """Return the values of every replica in rank order, and update ``stopping``.

        All replicas pass equally many values after the same update. Their devices may still be computing that update.
        """

    def verify(self, segment: Tensor) -> None:
        """Raise ReplicasDiffer unless all replicas hold the same bits in ``segment``."""

    def request_stop(self) -> None:
        """Request that all replicas stop: ``stopping`` becomes true on each after the same update."""

    def close(self) -> None:
        """Release the memory of the other replicas, then this replica's own."""


def sums(gathered: Sequence[tuple[float, ...]]) -> list[float]:
    """Return the sum over the replicas of each value that ``all_gather`` returned.

    >>> sums([(1.0, 2.0), (10.0, 20.0)])
    [11.0, 22.0]
    """
    # Not ``sum``: since Python 3.12 it adds floats with a compensation, so the result depends on the version.
    return [reduce(operator.add, column) for column in zip(*gathered, strict=True)]


def count_differing(own: Tensor, reference: Tensor) -> int:
    """Return the number of elements that differ in any bit between two segments of equal dtype."""
    bits = {2: torch.int16, 4: torch.int32}[own.itemsize]
    return int((own.view(bits) != reference.view(bits)).sum())


def chunks(segment: Tensor, world_size: int) -> list[Tensor]:
    """Split ``segment`` (N,) into one chunk per worker. Each starts at a multiple of 128; some may be empty."""
    size = -(-len(segment) // world_size // 128) * 128
    return [segment[rank * size : (rank + 1) * size] for rank in range(world_size)]


def raise_if_differing(gathered: Sequence[tuple[float, ...]], numel: int) -> None:
    """Raise ReplicasDiffer if any replica found a difference from replica 0.

    ``gathered[rank][0]`` is the number of elements, of ``numel``, in which replica ``rank`` differs.
    """
    for rank, (count,) in enumerate(gathered):
        if count:
            raise ReplicasDiffer(
                f"replica {rank} differs from replica 0 in {count:.0f} of {numel} elements after an exchange; this is "
                "a fault of the program or of the hardware: continue from the last checkpoint"
            )
