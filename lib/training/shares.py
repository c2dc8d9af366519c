"""Shares: which columns of a layer, and so which rows of its parameters, belong to which worker."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

# Matrix units are fast on multiples of this many columns.
_MULTIPLE = 8


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The division of layers over ``world_size`` workers, as seen by worker ``rank``."""

    rank: int
    world_size: int

    def columns(self, count: int) -> list[range]:
        """Return the columns of each worker, by rank: as equal shares of ``count`` as they come.

        Where there are enough of them, in multiples of eight. With more workers than columns some shares are empty.

        >>> Shares(rank=0, world_size=3).columns(10)
        [range(0, 3), range(3, 6), range(6, 10)]
        >>> [len(share) for share in Shares(rank=0, world_size=3).columns(1000)]
        [328, 336, 336]
        """
        unit = _MULTIPLE if count % _MULTIPLE == 0 and count >= _MULTIPLE * self.world_size else 1
        bounds = [count // unit * rank // self.world_size * unit for rank in range(self.world_size + 1)]
        return [range(start, stop) for start, stop in pairwise(bounds)]

    def own(self, count: int) -> range:
        """Return the columns of this worker."""
        return self.columns(count)[self.rank]

    def width(self, count: int) -> int:
        """Return the size of the largest share: all workers have tensors of this size, some of which end in zeros."""
        return max(map(len, self.columns(count)))

    def cut(self, whole: Tensor, rank: int | None = None) -> Tensor:
        """Return the rows of ``whole`` (O, ...) that belong to a worker, this one by default, filled up with zeros."""
        columns = self.columns(len(whole))[self.rank if rank is None else rank]
        share = whole.new_zeros(self.width(len(whole)), *whole.shape[1:])
        share[: len(columns)] = whole[columns.start : columns.stop]
        return share

    def join(self, shares: list[Tensor], count: int) -> Tensor:
        """Return the columns (N, ``count``) of all workers' shares (N, width)."""
        parts = [share[:, : len(columns)] for share, columns in zip(shares, self.columns(count), strict=True)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def parts(self, whole_NC: Tensor) -> Iterator[Tensor]:
        """Yield the columns of each worker of ``whole_NC``, by rank."""
        for columns in self.columns(whole_NC.shape[1]):
            yield whole_NC[:, columns.start : columns.stop]

    def pad(self, own_NC: Tensor, count: int) -> Tensor:
        """Return this worker's columns of a layer of ``count``, filled up with zeros to (N, width)."""
        missing = self.width(count) - own_NC.shape[1]
        return torch.nn.functional.pad(own_NC, (0, missing)) if missing else own_NC
