"""All the numbers that replicas share, laid out in one row of memory, and their gradients in another.

    [ weights | biases and norms | momentum of both, alike | float buffers ]

A second row holds the rest, as bytes: frozen parameters (``requires_grad`` off), buffers of frozen norms, and counts.
It is never averaged: nothing in it changes what others compute, and a rounded mean of equal numbers may be another
number. It is copied where one replica's numbers become those of all.

Many small copies become one large one, one handle lends them all, and the update is a few operations on long
vectors. Weights come first because decay and rate of the others may differ, and the last layer's first of all:
gradients become ready from the last layer to the first.
"""

from collections.abc import Callable, Collection, Iterable, Iterator

import torch
from torch import Tensor, nn

# Each tensor begins at a multiple of this many numbers (128 bytes), which fast kernels want.
_ALIGN = 32


class Flat:
    """Owns the row of a model's trained parameters, their momentum and float buffers, and one of its gradients.

    The model's parameters and float buffers become views of the first, and their ``grad`` of the second if that is
    float32. Frozen parameters, other buffers and all buffers of modules in ``frozen`` become views of ``frozen``, which
    is allocated only where there are any. ``allocate`` and ``allocate_gradients`` give so many zeros.
    """

    def __init__(
        self,
        model: nn.Module,
        allocate: Callable[[int], Tensor],
        allocate_gradients: Callable[[int], Tensor] | None = None,
        frozen: Collection[nn.Module] = (),
    ) -> None:
        trained = [(name, p) for name, p in reversed(list(model.named_parameters())) if p.requires_grad]
        self._parameters = dict(sorted(trained, key=lambda item: item[1].ndim == 1))
        parameters = list(self._parameters.values())
        of_frozen = {id(b) for module in frozen for b in module.buffers()}
        buffers = [b for b in model.buffers() if b.is_floating_point() and id(b) not in of_frozen]
        in_row = {id(tensor) for tensor in (*parameters, *buffers)}
        rest = [tensor for tensor in (*model.parameters(), *model.buffers()) if id(tensor) not in in_row]
        n_parameters = _length(parameters)
        self.state = allocate(2 * n_parameters + _length(buffers))
        self.parameters, self.momentum, self.buffers = self.state.split(
            [n_parameters, n_parameters, len(self.state) - 2 * n_parameters]
        )
        self.frozen = allocate(_length_as_bytes(rest)) if rest else self.state[:0]
        self.gradients = (allocate_gradients or self.parameters.new_zeros)(n_parameters)
        self.n_weights = _length(p for p in parameters if p.ndim > 1)
        self.momentum_of = self.by_name(self.momentum)
        _move(parameters, _places(parameters, self.parameters))
        _move(buffers, _places(buffers, self.buffers))
        _move(rest, _places_as_bytes(rest, self.frozen))
        if self.gradients.dtype == torch.float32:
            for parameter, place in zip(parameters, _places(parameters, self.gradients), strict=True):
                parameter.grad = place

    @property
    def blocks(self) -> list[Tensor]:
        """All memory in which replicas are alike, momentum included."""
        return [row for row in (self.state, self.frozen) if len(row)]

    def by_name(self, row: Tensor) -> dict[str, Tensor]:
        """Each parameter's stretch of ``row``, laid out as ``parameters``, in the parameter's shape."""
        return dict(zip(self._parameters, _places(self._parameters.values(), row), strict=True))

    def length_of(self, names: Iterable[str]) -> int:
        """How long a stretch these parameters take."""
        return _length(self._parameters[name] for name in names)


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


def _numbers(tensor: Tensor) -> int:
    """How many float32 numbers take as much room."""
    return _padded(-(-tensor.nbytes // 4))


def _length_as_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(map(_numbers, tensors))


def _places_as_bytes(tensors: Iterable[Tensor], row: Tensor) -> Iterator[Tensor]:
    """The stretch of ``row`` (float32) that belongs to each tensor, in its shape and its own type."""
    offset = 0
    for tensor in tensors:
        end = offset + _numbers(tensor)
        yield row[offset:end].view(tensor.dtype)[: tensor.numel()].view(tensor.shape)
        offset = end


@torch.no_grad()
def _move(tensors: Iterable[Tensor], places: Iterable[Tensor]) -> None:
    """Copy each tensor into its place and make it a view of that."""
    for tensor, place in zip(tensors, places, strict=True):
        place.copy_(tensor)
        tensor.data = place
