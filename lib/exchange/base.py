"""What the training loop asks of an exchange, whatever carries it."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from lib.errors import ReplicasDiffer


class Exchange(Protocol):
    """Makes replicas become their average, adds up figures, and lets all of them leave after the same step."""

    leaving: bool
    """whether any replica had been asked to leave as of the last meeting; equal on all of them"""

    asked: bool
    """whether ``leave`` was called here"""

    def allocate(self, numel: int) -> Tensor:
        """Zeros, float32 (numel,), for everything that replicas share; called once, before all below."""

    def copy_first(self) -> None:
        """The allocated memory becomes that of replica 0."""

    def average(self) -> None:
        """The allocated memory becomes the mean over all replicas, bit for bit the same on each."""

    def gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        """The values of every replica, by rank: the same list on all of them. All give equally many."""

    def verify(self) -> None:
        """Raises ReplicasDiffer unless all replicas hold the same bits."""

    def leave(self) -> None:
        """Ask all replicas to stop: ``leaving`` turns true on each after the same meeting."""

    def close(self) -> None:
        """Let go of the others' memory and then of our own."""


def sums(gathered: Sequence[tuple[float, ...]]) -> list[float]:
    """What ``gather`` returned, added up over the replicas.

    >>> sums([(1.0, 2.0), (10.0, 20.0)])
    [11.0, 22.0]
    """
    return [sum(column) for column in zip(*gathered, strict=True)]


def refuse_differing(gathered: Sequence[tuple[float, ...]], numel: int) -> None:
    """Raises ReplicasDiffer if any replica (by rank) found ``gathered[rank][0]`` numbers unlike replica 0's."""
    for rank, (count,) in enumerate(gathered):
        if count:
            raise ReplicasDiffer(
                f"replica {rank} differs from replica 0 in {count:.0f} of {numel} numbers after an exchange; this is "
                "a fault of the program or of the hardware: go on from the last checkpoint"
            )
