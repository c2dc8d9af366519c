"""Sync strategies: what replicas average, and when.

theano_alexnet averaged weights and momentum after every update. Since replicas are equal before it, and SGD is linear
in the gradients, the same follows from the mean gradient, which is fewer bytes.
``lib.training.average_gradients`` is for updates that need that mean; in the strategies of
``lib.training.periodic_sync`` replicas differ between exchanges.
"""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch

from ..exchange.base import Exchange
from .flat import FlatParameters
from .optimizer import LinearOptimizer, Optimizer


class SyncStrategy(Protocol):
    """An optimizer's update together with the exchange between replicas."""

    @property
    def capturable(self) -> bool:
        """Whether each update is the same work of the device alone, which a CUDA graph may capture.

        ``update`` may then be called segment by segment, otherwise only for all parameters at once.
        """

    @property
    def in_sync(self) -> bool:
        """Whether replicas are equal now; then ``synchronized`` involves no other replica."""

    def begin(self, lr: float, weight_decay: float) -> None:
        """Begin an update with this learning rate and weight decay."""

    def update(self, segment: slice) -> None:
        """Update this segment of the parameters, and exchange where that is due. Called by all replicas."""

    def synchronized(self) -> AbstractContextManager[None]:
        """Return a context in which all replicas hold the same state: what is validated and saved.

        Called by all replicas at the same point.
        """

    def reset(self) -> None:
        """Start anew after the replicas have been made equal by someone else."""


class EveryUpdate(ABC):
    """Replicas are equal after each update: the average is part of it."""

    in_sync = True

    def __init__(self, optimizer: Optimizer, flat: FlatParameters, exchange: Exchange) -> None:
        self.capturable = exchange.capturable and optimizer.capturable
        self._optimizer, self._flat, self._exchange = optimizer, flat, exchange

    def begin(self, lr: float, weight_decay: float) -> None:
        self._flat.updates += 1
        self._optimizer.set(lr, weight_decay)

    @abstractmethod
    def update(self, segment: slice) -> None: ...

    def synchronized(self) -> AbstractContextManager[None]:
        return nullcontext()

    def reset(self) -> None:  # noqa: B027  replicas are always in sync: there is nothing to reset
        pass

    def _average_buffers_after(self, segment: slice) -> None:
        """Average the float buffers, once in each update: after its last segment."""
        if segment.stop == self._flat.whole.stop and len(self._flat.buffers):
            self._exchange.all_reduce_mean(self._flat.buffers)


class AverageWeights(EveryUpdate):
    """After each update weights and momentum are the mean of what each replica's own update would have made.

    Since replicas are equal before it and the update is linear, the float32 mean of the gradients gives just that.
    """

    def __init__(self, optimizer: LinearOptimizer, flat: FlatParameters, exchange: Exchange) -> None:
        super().__init__(optimizer, flat, exchange)
        self._halves = optimizer

    def update(self, segment: slice) -> None:
        gradients, momentum = self._flat.gradients[segment], self._flat.momentum[segment]
        if gradients.dtype == torch.float32:
            self._exchange.all_reduce_mean(gradients)
            self._optimizer.step(segment)
        elif gathered := self._exchange.gather(gradients):
            self._optimizer.step(segment, gathered)
        else:  # float32 momentum is fewer bytes than the gradients of so many
            self._halves.update_momentum(segment)
            self._exchange.all_reduce_mean(momentum)
            self._halves.apply(segment)
        self._average_buffers_after(segment)
