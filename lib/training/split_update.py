"""Updates of a split network that wait for all gradients: of clipped ones, and by rules for whole networks."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..exchange.activations import bytes_of
from ..exchange.base import Exchange
from .average_gradients import norm_of
from .optimizer import Optimizer, mean_gradient
from .owned import OwnedParts


class ClipShares:
    """Scales the mean gradient of a network, of which workers own parts, down to ``max_norm`` if it is longer.

    All workers call it once in each update, after the last pass. A CUDA graph may capture it.
    """

    def __init__(self, exchange: Exchange, max_norm: float) -> None:
        self._max_norm = max_norm
        self._meeting = exchange.open_activations(bytes_of((1,), dtype=torch.float32))

    def __call__(self, owned: Sequence[Tensor], replicated: Sequence[Tensor]) -> None:
        """Scale all of them in place: this worker's own gradients, and those that all workers have."""
        (norms,) = self._meeting.all_gather(norm_of(owned))
        # In the order of the ranks, so that all workers get the same bits.
        norm = torch.linalg.vector_norm(torch.stack([*norms, *([norm_of(replicated)] if replicated else [])]))
        scale = (self._max_norm / norm).clamp(max=1.0)
        for gradient in (*owned, *replicated):
            gradient.mul_(scale)


class UpdateAtOnce:
    """``Optimizer`` around another that updates all of ``parts.flat`` in the last of the steps of an update."""

    def __init__(self, optimizer: Optimizer, parts: OwnedParts, clip: ClipShares | None) -> None:
        self.capturable = optimizer.capturable
        self._optimizer, self._parts, self._clip = optimizer, parts, clip
        self._waiting: list[tuple[slice, Sequence[Tensor]]] = []  # means, where they do not lie in ``flat.gradients``

    def set(self, lr: float, weight_decay: float) -> None:
        self._optimizer.set(lr, weight_decay)

    def step(self, segment: slice, gathered: Sequence[Tensor] = ()) -> None:
        """Take the gradients of ``segment``; after the last segment, update all."""
        flat = self._parts.flat
        means = gathered if len(gathered) < 2 else [mean_gradient(flat, segment, gathered)]
        self._waiting.append((segment, means))
        if segment.stop == flat.whole.stop:
            self._update()
            self._waiting.clear()

    def refresh(self, segment: slice) -> None:
        self._optimizer.refresh(segment)

    @torch.no_grad()
    def _update(self) -> None:
        if self._clip:
            self._clip(*(list(self._gradients(owned=owned)) for owned in (True, False)))
        whole, averaged = self._parts.flat.whole, [(segment, means) for segment, means in self._waiting if means]
        if not averaged:  # all gradients lie in ``flat.gradients``
            return self._optimizer.step(whole)
        for segment, means in averaged:
            self._optimizer.step(segment, means)
        for part, owned in self._parts.cut(whole):
            if owned:
                self._optimizer.step(part)
        return None

    def _gradients(self, *, owned: bool) -> Iterator[Tensor]:
        """Yield the gradients of what is owned, or the mean ones of what is replicated."""
        for segment, means in self._waiting:
            if self._parts.owns(segment) is owned:
                yield means[0] if means else self._parts.flat.gradients[segment]
