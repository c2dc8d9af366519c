"""Sync strategies in which replicas exchange every N updates: local SGD and elastic averaging.

Elastic averaging (EASGD: Zhang, Choromanska and LeCun, arXiv:1412.6651, the synchronous form) attracts each replica to
a center c, and the center to the replicas. With moving rate a, at each exchange of n replicas w:

    w_i <- w_i - a (w_i - c)        each replica
    c   <- c + a sum_i (w_i - c)    the center: c + n a (mean - c), with c from before

Theano-MPI computes the same two lines on a server, for one replica after the other; here all exchange at once, and each
keeps a copy of the center. The copies follow from the same bits, so they hold the same bits.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..config.schema import ExchangeConfig
from ..exchange.base import Exchange
from .flat import FlatParameters
from .optimizer import Optimizer

# The paper's beta: how far the center moves towards the mean of the replicas at an exchange.
_BETA = 0.9


class _Periodic(ABC):
    """Each replica trains by itself; every ``every`` updates all of them exchange."""

    capturable = False

    def __init__(self, optimizer: Optimizer, flat: FlatParameters, exchange: Exchange, every: int) -> None:
        self._optimizer, self._flat, self._exchange, self._every = optimizer, flat, exchange, every
        self._updates_since_sync = 0

    @property
    def in_sync(self) -> bool:
        return not self._updates_since_sync

    def begin(self, lr: float, weight_decay: float) -> None:
        self._flat.updates += 1
        self._optimizer.set(lr, weight_decay)

    def update(self, segment: slice) -> None:
        self._optimizer.step(segment)
        self._updates_since_sync += 1
        if self._updates_since_sync == self._every:
            self._sync()
            self._updates_since_sync = 0
        else:
            self._exchange.all_reduce_mean()  # without segments, a barrier: all replicas stop after the same update

    @abstractmethod
    def _sync(self) -> None:
        """Exchange between the replicas."""


class LocalSGD(_Periodic):
    """At an exchange, replicas become their average."""

    @contextmanager
    def synchronized(self) -> Iterator[None]:
        if self._updates_since_sync:
            self._sync()
            self._updates_since_sync = 0
        yield

    def reset(self) -> None:
        self._updates_since_sync = 0

    def _sync(self) -> None:
        self._exchange.all_reduce_mean(self._flat.state)
        self._optimizer.refresh(self._flat.whole)


class Elastic(_Periodic):
    """At an exchange, each replica moves towards a center and the center towards the replicas.

    The center is what is validated and saved. Momentum stays each replica's own; float buffers become their average.
    ``alpha`` is the moving rate.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        flat: FlatParameters,
        exchange: Exchange,
        *,
        every: int,
        alpha: float,
        world_size: int,
    ) -> None:
        super().__init__(optimizer, flat, exchange, every)
        self._alpha, self._world_size = alpha, world_size
        self._center = flat.parameters.clone()
        self._exchanged = exchange.allocate(len(flat.parameters) + len(flat.buffers))

    @contextmanager
    def synchronized(self) -> Iterator[None]:
        """Put the center into the model, with zero momentum, and this replica's own state back afterwards."""
        flat = self._flat
        if self._updates_since_sync and len(flat.buffers):
            self._exchange.all_reduce_mean(flat.buffers)
        own = flat.parameters.clone(), flat.momentum.clone()
        self._load(self._center, torch.zeros_like(flat.momentum))
        try:
            yield
        finally:
            self._load(*own)

    def reset(self) -> None:
        self._center.copy_(self._flat.parameters)
        self._updates_since_sync = 0

    def _sync(self) -> None:
        """Compute the two lines above."""
        flat = self._flat
        torch.cat([flat.parameters, flat.buffers], out=self._exchanged)
        self._exchange.all_reduce_mean(self._exchanged)
        mean, buffers = self._exchanged.split([len(flat.parameters), len(flat.buffers)])
        flat.parameters.lerp_(self._center, self._alpha)
        self._center.lerp_(mean, self._world_size * self._alpha)
        flat.buffers.copy_(buffers)
        self._optimizer.refresh(flat.whole)

    def _load(self, parameters: torch.Tensor, momentum: torch.Tensor) -> None:
        self._flat.parameters.copy_(parameters)
        self._flat.momentum.copy_(momentum)
        self._optimizer.refresh(self._flat.whole)


def moving_rate(config: ExchangeConfig, world_size: int) -> float:
    """Return ``exchange.alpha``, or the paper's default.

    >>> moving_rate(ExchangeConfig(rule="elastic"), 2)
    0.45
    """
    return config.alpha or _BETA / world_size
