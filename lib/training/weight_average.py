"""The average of the weights over time (EMA, arXiv:1503.02531 and before): what is validated and saved.

With decay d and update number n, the average a of the weights w, and of the running statistics of norms:

    a <- a + (1 - min(d, n / (9 + n))) (w - a)        so that the average forgets the first weights in time
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from .flat import FlatParameters
from .optimizer import Optimizer
from .sync import SyncStrategy


class AveragedOverTime:
    """``SyncStrategy`` around one in which replicas are always equal. The average lies in a slot of ``flat``."""

    in_sync = True

    def __init__(self, strategy: SyncStrategy, optimizer: Optimizer, flat: FlatParameters, decay: float) -> None:
        self.capturable = strategy.capturable
        self._strategy, self._optimizer, self._flat, self._decay = strategy, optimizer, flat, decay
        # On the device, where a CUDA graph reads it.
        self._share = torch.zeros((), device=flat.state.device)
        self._current = 0.0

    def begin(self, lr: float, weight_decay: float) -> None:
        self._strategy.begin(lr, weight_decay)
        updates = self._flat.updates
        share = 1 - min(self._decay, updates / (9 + updates))
        if share != self._current:
            self._current = share
            self._share.fill_(share)

    @torch.no_grad()
    def update(self, segment: slice) -> None:
        flat = self._flat
        self._strategy.update(segment)
        if segment.stop == flat.whole.stop:
            flat.slots["average"].lerp_(flat.parameters, self._share)
            flat.average_of_buffers.lerp_(flat.buffers, self._share)

    @contextmanager
    def synchronized(self) -> Iterator[None]:
        """Put the average into the model, and the weights in training in its place."""
        self._swap()
        try:
            with self._strategy.synchronized():  # gathers what is in the model, where workers have shares of it
                yield
        finally:
            self._swap()

    def reset(self) -> None:
        self._strategy.reset()

    @torch.no_grad()
    def _swap(self) -> None:
        flat = self._flat
        for own, average in (flat.parameters, flat.slots["average"]), (flat.buffers, flat.average_of_buffers):
            before = own.clone()
            own.copy_(average)
            average.copy_(before)
        self._optimizer.refresh(flat.whole)


def averages(flat: FlatParameters) -> dict[str, Tensor]:
    """Return the average of each parameter and float buffer; empty if there is none."""
    if "average" not in flat.slots:
        return {}
    return flat.views(flat.slots["average"]) | flat.buffer_views(flat.average_of_buffers)
