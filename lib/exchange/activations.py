"""Activations of layers whose columns are split over the workers, and their gradients, on the way between workers.

Each ``Activations`` has memory of its own, so a worker needs one barrier per use: it writes, waits until all others
have written, and reads theirs. What was read may be overwritten in the next use, so each must be followed by a use of
another ``Activations`` of the same exchange before it is used again.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Protocol

import torch
from torch import Tensor

# Tensors begin at multiples of this many bytes.
_ALIGN = 256


class Activations(Protocol):
    """Moves tensors of one layer between workers. All workers call the same methods in the same order."""

    def all_gather(self, *own: Tensor) -> list[list[Tensor]]:
        """Return, for each of the tensors ``own``, that of every worker in rank order. Read them at once."""

    def reduce_scatter(self, parts: Sequence[Tensor], scale: float = 1.0) -> Tensor:
        """Return ``scale`` times the sum of the part for this worker over all workers; ``parts`` has one for each.

        Parts for the same worker have the same shape everywhere. The sum is taken in float32.
        """


class ImaginedActivations:
    """``Activations`` of one worker among ``world_size`` that do not exist and would do the same as it does."""

    def __init__(self, world_size: int) -> None:
        self._world_size = world_size

    def all_gather(self, *own: Tensor) -> list[list[Tensor]]:
        return [[tensor] * self._world_size for tensor in own]

    def reduce_scatter(self, parts: Sequence[Tensor], scale: float = 1.0) -> Tensor:
        return parts[0] * (self._world_size * scale) if self._world_size > 1 else parts[0]


class SharedActivations:
    """``Activations`` in memory that all workers read: of one machine's CPUs, or of its GPUs."""

    def __init__(self, memories: Sequence[Tensor], rank: int, barrier: Callable[[], None]) -> None:
        """``memories`` are the workers', uint8, by rank; ``barrier`` returns, or ends, when all workers came to it."""
        self._memories, self._rank, self._barrier = memories, rank, barrier

    def all_gather(self, *own: Tensor) -> list[list[Tensor]]:
        self._write(own)
        columns = zip(*(_views(memory, own) for memory in self._memories), strict=True)
        return [list(column) for column in columns]

    def reduce_scatter(self, parts: Sequence[Tensor], scale: float = 1.0) -> Tensor:
        self._write(parts)
        theirs = [list(_views(memory, parts))[self._rank] for memory in self._memories]
        out = torch.empty_like(theirs[self._rank])
        if out.is_cuda:
            from ..kernels.mean import scaled_sum  # noqa: PLC0415  needs Triton

            scaled_sum(theirs, scale, out)
        else:
            out.copy_(reduce(torch.add, (part.float() for part in theirs)).mul_(scale))
        return out

    def _write(self, own: Sequence[Tensor]) -> None:
        for target, tensor in zip(_views(self._memories[self._rank], own), own, strict=True):
            target.copy_(tensor)
        self._barrier()


class CollectiveActivations:
    """``Activations`` through ``torch.distributed``, given its all-gather and its sum."""

    def __init__(
        self, rank: int, all_gather: Callable[[Tensor], list[Tensor]], all_reduce_sum: Callable[[Tensor], None]
    ) -> None:
        self._rank, self._all_gather, self._all_reduce_sum = rank, all_gather, all_reduce_sum

    def all_gather(self, *own: Tensor) -> list[list[Tensor]]:
        return [self._all_gather(tensor.contiguous()) for tensor in own]

    def reduce_scatter(self, parts: Sequence[Tensor], scale: float = 1.0) -> Tensor:
        total = torch.cat([part.flatten() for part in parts]).float()
        self._all_reduce_sum(total)
        own = total.split([part.numel() for part in parts])[self._rank]
        summed: Tensor = own.mul_(scale).view_as(parts[self._rank]).to(parts[0].dtype)
        return summed


def bytes_of(*shapes: Sequence[int], dtype: torch.dtype) -> int:
    """Return the bytes of memory for tensors of these shapes and one int64 number.

    >>> bytes_of((3, 5), dtype=torch.float32)
    512
    """
    return sum(_padded(torch.Size(shape).numel() * dtype.itemsize) for shape in shapes) + _ALIGN


def _views(memory: Tensor, like: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield tensors shaped as ``like``, one behind the other in ``memory``."""
    start = 0
    for tensor in like:
        if start + tensor.nbytes > len(memory):
            raise ValueError(f"activations of {start + tensor.nbytes} bytes, but their memory has {len(memory)}")
        yield memory[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        start += _padded(tensor.nbytes)


def _padded(n_bytes: int) -> int:
    return -(-n_bytes // _ALIGN) * _ALIGN
