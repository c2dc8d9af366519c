"""All the numbers that replicas share, laid out in one row of memory.

    [ weights | biases and norms | velocities of both, alike | float buffers ]

Frozen parameters (``requires_grad`` off) stay where they are: nothing changes them, so they are alike without it.

Many small copies become one large one, one handle lends them all, and the update is a few operations on long
vectors. Weights come first because decay and rate of the others may differ.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

# Each tensor begins at a multiple of this many numbers (128 bytes), which fast kernels want.
_ALIGN = 32


class Flat:
    """Owns the row of a model's trained parameters, their velocities and float buffers, and one of its gradients.

    The model's parameters, their ``grad`` and its float buffers become views of these rows.
    """

    def __init__(self, model: nn.Module, allocate: Callable[[int], Tensor]) -> None:
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        parameters = dict(sorted(trained, key=lambda item: item[1].ndim == 1))
        buffers = {name: b for name, b in model.named_buffers() if b.is_floating_point()}
        n_parameters = _length(parameters.values())
        self.row = allocate(2 * n_parameters + _length(buffers.values()))
        self.parameters, self.velocities, rest = self.row.split(
            [n_parameters, n_parameters, len(self.row) - 2 * n_parameters]
        )
        self.gradients = torch.zeros_like(self.parameters)
        self.n_weights = _length(p for p in parameters.values() if p.ndim > 1)
        self.velocity_of = dict(zip(parameters, _places(parameters.values(), self.velocities), strict=True))
        _move(parameters.values(), self.parameters)
        _move(buffers.values(), rest)
        for parameter, place in zip(parameters.values(), _places(parameters.values(), self.gradients), strict=True):
            parameter.grad = place


def _padded(numel: int) -> int:
    return -(-numel // _ALIGN) * _ALIGN


def _length(tensors: Iterable[Tensor]) -> int:
    return sum(_padded(tensor.numel()) for tensor in tensors)


def _places(tensors: Iterable[Tensor], row: Tensor) -> Iterator[Tensor]:
    """The stretch of ``row`` that belongs to each tensor, in its shape."""
    offset = 0
    for tensor in tensors:
        yield row[offset : offset + tensor.numel()].view(tensor.shape)
        offset += _padded(tensor.numel())


@torch.no_grad()
def _move(tensors: Iterable[Tensor], row: Tensor) -> None:
    """Copy each tensor into its place in ``row`` and make it a view of that place."""
    tensors = list(tensors)
    for tensor, place in zip(tensors, _places(tensors, row), strict=True):
        place.copy_(tensor)
        tensor.data = place
