"""What replicas average around an update: their gradients, their momentum, or weights and momentum.

All three are the same mathematics, as replicas are equal before each update and the update is linear in gradients and
momentum; they differ in the bytes that are moved. ``Weights`` is what theano_alexnet did.
"""

from typing import Protocol

from lib.config.schema import Averaged
from lib.exchange.base import Exchange
from lib.training.flat import Flat


class Optimizer(Protocol):
    """The update rule in the steps that an average may come between, on a stretch of the parameters' row."""

    def step(self, segment: slice) -> None:
        """New momentum from gradients, new weights from momentum."""

    def update_momentum(self, segment: slice) -> None:
        """The first half of ``step``."""

    def apply(self, segment: slice) -> None:
        """The second half."""

    def refresh(self, segment: slice) -> None:
        """The weights have been changed by others."""


class Averaging(Protocol):
    """An update together with its average."""

    def update(self, segment: slice) -> None:
        """Update this stretch of the parameters; after it, replicas are equal there."""


class Gradients:
    """Averages gradients before the update: half as many bytes as momentum where they are bfloat16."""

    def __init__(self, optimizer: Optimizer, flat: Flat, exchange: Exchange) -> None:
        self._optimizer, self._flat, self._exchange = optimizer, flat, exchange

    def update(self, segment: slice) -> None:
        self._exchange.all_reduce_mean(self._flat.gradients[segment])
        self._optimizer.step(segment)


class AverageMomentum:
    """Averages momentum in the middle of the update."""

    def __init__(self, optimizer: Optimizer, flat: Flat, exchange: Exchange) -> None:
        self._optimizer, self._flat, self._exchange = optimizer, flat, exchange

    def update(self, segment: slice) -> None:
        self._optimizer.update_momentum(segment)
        self._exchange.all_reduce_mean(self._flat.momentum[segment])
        self._optimizer.apply(segment)


class Weights:
    """Averages weights and momentum after the update."""

    def __init__(self, optimizer: Optimizer, flat: Flat, exchange: Exchange) -> None:
        self._optimizer, self._flat, self._exchange = optimizer, flat, exchange

    def update(self, segment: slice) -> None:
        self._optimizer.step(segment)
        self._exchange.all_reduce_mean(self._flat.parameters[segment], self._flat.momentum[segment])
        self._optimizer.refresh(segment)


KINDS: dict[Averaged, type[Gradients] | type[AverageMomentum] | type[Weights]] = {
    "gradients": Gradients,
    "momentum": AverageMomentum,
    "weights": Weights,
}
