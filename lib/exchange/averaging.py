"""What replicas average around an update: their gradients, their velocities, or weights and velocities.

All three are the same mathematics, as replicas are equal before each update and the update is linear in gradients and
velocities; they differ in the bytes that are moved. ``Weights`` is what theano_alexnet did.
"""

from typing import Protocol

from lib.config import Averaged
from lib.exchange.base import Exchange
from lib.exchange.flat import Flat


class Optimizer(Protocol):
    """The update rule in the steps that an average may come between, on a stretch of the parameters' row."""

    def step(self, part: slice) -> None:
        """New velocities from gradients, new weights from velocities."""

    def accelerate(self, part: slice) -> None:
        """The first half of ``step``."""

    def move(self, part: slice) -> None:
        """The second half."""

    def refresh(self, part: slice) -> None:
        """The weights have been changed by others."""


class Averaging(Protocol):
    """An update together with its average."""

    def update(self, part: slice) -> None:
        """Update this stretch of the parameters; after it, replicas are equal there."""


class Gradients:
    """Averages gradients before the update: half as many bytes as velocities where they are bfloat16."""

    def __init__(self, optimizer: Optimizer, flat: Flat, exchange: Exchange) -> None:
        self._optimizer, self._flat, self._exchange = optimizer, flat, exchange

    def update(self, part: slice) -> None:
        self._exchange.average(self._flat.gradients[part])
        self._optimizer.step(part)


class Velocities:
    """Averages velocities in the middle of the update."""

    def __init__(self, optimizer: Optimizer, flat: Flat, exchange: Exchange) -> None:
        self._optimizer, self._flat, self._exchange = optimizer, flat, exchange

    def update(self, part: slice) -> None:
        self._optimizer.accelerate(part)
        self._exchange.average(self._flat.velocities[part])
        self._optimizer.move(part)


class Weights:
    """Averages weights and velocities after the update."""

    def __init__(self, optimizer: Optimizer, flat: Flat, exchange: Exchange) -> None:
        self._optimizer, self._flat, self._exchange = optimizer, flat, exchange

    def update(self, part: slice) -> None:
        self._optimizer.step(part)
        self._exchange.average(self._flat.parameters[part], self._flat.velocities[part])
        self._optimizer.refresh(part)


KINDS: dict[Averaged, type[Gradients] | type[Velocities] | type[Weights]] = {
    "gradients": Gradients,
    "velocities": Velocities,
    "weights": Weights,
}
