"""All numbers that replicas share, in one flat tensor, and their gradients in another.

    state:  [ weights | biases and norms | momentum, in the same layout | slots, too | float buffers | their average ]

Each slot is another number a parameter, in the same layout: a second moment, or a copy that follows the parameters.
The last part is there only with the slot ``average``.

Another flat tensor, ``frozen``, holds the rest as bytes: frozen parameters (``requires_grad`` off), buffers of frozen
norms, and counters. It is never averaged: training does not change it, and the rounded mean of equal numbers may be
another number. It is copied where one replica's numbers become those of all.

Many small copies become one large one, one handle shares them all, and the update is a few operations on long vectors.
Weights come first because weight decay and learning rate of the others may differ, and the last layer's come first of
all: gradients become ready from the last layer to the first.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .flat_layout import move, padded, split, split_bytes, total_byte_length, total_length

COPIES = {"slow", "average"}
"""slots that begin as copies of the parameters; the others begin as zeros"""


class HasState(Protocol):
    """An optimizer that keeps its state itself."""

    def state(self) -> dict[str, dict[str, Any]]:
        """Return the state by the names of parameters."""

    def load_state(self, state: dict[str, dict[str, Any]]) -> None:
        """Take over what ``state`` returned."""


class FlatParameters:
    """Owns the flat tensors of a model; the model's parameters and buffers become views of them.

    If the gradients are float32, the parameters' ``grad`` become views of ``gradients``. Frozen parameters, buffers
    that are not floats, and all buffers of the modules in ``frozen`` become views of ``self.frozen``, which is empty
    where there are none. ``allocate`` and ``allocate_gradients`` return that many zeros.
    """

    def __init__(
        self,
        model: nn.Module,
        allocate: Callable[[int], Tensor],
        allocate_gradients: Callable[[int], Tensor] | None = None,
        frozen: Collection[nn.Module] = (),
        *,
        channels_last: bool = False,
        slots: Sequence[str] = (),
    ) -> None:
        """With ``channels_last`` the weights of convolutions lie (O, H, W, I) in memory: convolutions are faster."""
        self._channels_last = channels_last
        trained = [(name, p) for name, p in reversed(list(model.named_parameters())) if p.requires_grad]
        self._parameters = dict(sorted(trained, key=lambda item: item[1].ndim == 1))
        parameters = list(self._parameters.values())
        frozen_buffers = {id(b) for module in frozen for b in module.buffers()}
        self._buffers = {
            name: b for name, b in model.named_buffers() if b.is_floating_point() and id(b) not in frozen_buffers
        }
        buffers = list(self._buffers.values())
        in_state = {id(tensor) for tensor in (*parameters, *buffers)}
        rest = [tensor for tensor in (*model.parameters(), *model.buffers()) if id(tensor) not in in_state]
        n_parameters, n_buffers = total_length(parameters), total_length(buffers)
        n_in_layout, n_averaged = (2 + len(slots)) * n_parameters, n_buffers if "average" in slots else 0
        self.state = allocate(n_in_layout + n_buffers + n_averaged)
        in_layout, self.buffers, self.average_of_buffers = self.state.split([n_in_layout, n_buffers, n_averaged])
        self.parameters, self.momentum, *others = in_layout.view(2 + len(slots), n_parameters)
        self.slots = dict(zip(slots, others, strict=True))
        self.updates = 0
        """updates made so far, which bias corrections and the like count from"""
        self.other_state: HasState | None = None
        """the optimizer, if its state lies elsewhere"""
        self.frozen = allocate(total_byte_length(rest)) if rest else self.state[:0]
        self.gradients = (allocate_gradients or self.parameters.new_zeros)(n_parameters)
        self.n_weights = total_length(p for p in parameters if p.ndim > 1)
        self.momentum_of = self.views(self.momentum)
        move(parameters, self._split(self.parameters))
        move(buffers, split(buffers, self.buffers))
        move(rest, split_bytes(rest, self.frozen))
        self.restart_copies()
        if self.gradients.dtype == torch.float32:
            for parameter, gradient in zip(parameters, self._split(self.gradients), strict=True):
                parameter.grad = gradient

    @property
    def whole(self) -> slice:
        """The segment of all parameters."""
        return slice(0, len(self.parameters))

    @property
    def blocks(self) -> list[Tensor]:
        """All memory in which replicas are equal, momentum included."""
        return [block for block in (self.state, self.frozen) if len(block)]

    @torch.no_grad()
    def restart_copies(self) -> None:
        """Make the slots that follow the parameters equal to them, after someone else has changed these."""
        for name in COPIES & self.slots.keys():
            self.slots[name].copy_(self.parameters)
        self.average_of_buffers.copy_(self.buffers[: len(self.average_of_buffers)])

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Return each parameter's part of ``flat``, a tensor laid out as ``parameters``, in the parameter's shape."""
        return dict(zip(self._parameters, self._split(flat), strict=True))

    def buffer_views(self, flat: Tensor) -> dict[str, Tensor]:
        """Return each float buffer's part of ``flat``, a tensor laid out as ``buffers``."""
        return dict(zip(self._buffers, split(self._buffers.values(), flat), strict=True))

    def _split(self, flat: Tensor) -> Iterator[Tensor]:
        """Yield each parameter's part of ``flat``, in the parameter's shape."""
        for view, parameter in zip(split(self._parameters.values(), flat), self._parameters.values(), strict=True):
            if self._channels_last and parameter.ndim == 4:
                outputs, inputs, height, width = parameter.shape
                yield view.view(outputs, height, width, inputs).permute(0, 3, 1, 2)
            else:
                yield view

    def parts(self, segment: slice) -> list[slice]:
        """Return where each parameter of ``segment`` lies, which holds whole ones, padding included."""
        ends = list(accumulate(padded(parameter.numel()) for parameter in self._parameters.values()))
        parts = (slice(*pair) for pair in pairwise([0, *ends]))
        return [part for part in parts if segment.start <= part.start < segment.stop]

    def length_of(self, names: Iterable[str]) -> int:
        """Return how many numbers these parameters take, padding included."""
        return total_length(self._parameters[name] for name in names)
