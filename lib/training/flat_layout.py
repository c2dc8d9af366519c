"""Where tensors lie in a flat one: one after the other, each aligned."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

# Each tensor begins at a multiple of this many numbers (128 bytes), which fast kernels need.
_ALIGN = 32


def padded(numel: int) -> int:
    """Return how many numbers ``numel`` of them take, with those up to the next tensor."""
    return -(-numel // _ALIGN) * _ALIGN


def total_length(tensors: Iterable[Tensor]) -> int:
    """Return how many numbers these tensors take."""
    return sum(padded(tensor.numel()) for tensor in tensors)


def split(tensors: Iterable[Tensor], flat: Tensor) -> Iterator[Tensor]:
    """Yield the part of ``flat`` that belongs to each tensor, in its shape."""
    offset = 0
    for tensor in tensors:
        yield flat[offset : offset + tensor.numel()].view(tensor.shape)
        offset += padded(tensor.numel())


def _floats(tensor: Tensor) -> int:
    return padded(-(-tensor.nbytes // 4))


def total_byte_length(tensors: Iterable[Tensor]) -> int:
    """Return how many float32 numbers take the bytes of these tensors, of any dtypes."""
    return sum(map(_floats, tensors))


def split_bytes(tensors: Iterable[Tensor], flat: Tensor) -> Iterator[Tensor]:
    """Yield the part of ``flat`` (float32) that belongs to each tensor, in its shape and dtype."""
    offset = 0
    for tensor in tensors:
        end = offset + _floats(tensor)
        yield flat[offset:end].view(tensor.dtype)[: tensor.numel()].view(tensor.shape)
        offset = end


@torch.no_grad()
def move(tensors: Iterable[Tensor], targets: Iterable[Tensor]) -> None:
    """Copy each tensor to its target, and make it a view of that."""
    for tensor, target in zip(tensors, targets, strict=True):
        target.copy_(tensor)
        tensor.data = target
