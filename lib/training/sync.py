"""When replicas exchange, and what becomes of each: their average every so many updates, or elastic averaging.

Elastic averaging (EASGD: Zhang, Choromanska and LeCun, arXiv:1412.6651, the synchronous form) lets each replica go its
own way, on a spring to a centre c. With moving rate a, at each exchange of n replicas w:

    w_i <- w_i - a (w_i - c)        each replica
    c   <- c + a sum_i (w_i - c)    the centre: c + n a (mean - c), with the c from before

Theano-MPI computes the same two lines on a server, for one replica after the other; here all come at once, and each
keeps a copy of the centre. The copies follow from the same bits, so they hold the same bits.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

import torch

from lib.config.schema import ExchangeConfig
from lib.exchange.base import Exchange
from lib.training.averaging import KINDS, Averaging, Optimizer
from lib.training.flat import Flat

# The paper's beta: how far the centre moves towards the mean of the replicas at an exchange.
_BETA = 0.9


class SyncStrategy(Protocol):
    """What an update of a replica is, together with the others'."""

    @property
    def in_graphs(self) -> bool:
        """Whether each update is the same work of the device alone, which a CUDA graph may capture; ``update`` may
        then come stretch by stretch, otherwise it is asked for all parameters at once.
        """

    @property
    def in_sync(self) -> bool:
        """Whether replicas have exchanged since their last update: then ``synchronized`` asks nothing of the others."""

    def update(self, segment: slice) -> None:
        """Update this stretch of the parameters, and exchange where that is due; called by all replicas."""

    def synchronized(self) -> AbstractContextManager[None]:
        """Within it all replicas hold the same row: what is validated and saved. Called by all at the same point."""

    def restart(self) -> None:
        """Replicas have been made equal by others."""


class EveryUpdate:
    """Replicas are equal after each update: its average is part of it."""

    in_sync = True

    def __init__(self, averaging: Averaging, flat: Flat, exchange: Exchange) -> None:
        self.in_graphs = exchange.in_graphs
        self._averaging, self._flat, self._exchange = averaging, flat, exchange

    def update(self, segment: slice) -> None:
        self._averaging.update(segment)
        if segment.stop == len(self._flat.parameters) and len(self._flat.buffers):
            self._exchange.all_reduce_mean(self._flat.buffers)

    def synchronized(self) -> AbstractContextManager[None]:
        return nullcontext()

    def restart(self) -> None:
        pass


class Periodic(ABC):
    """Each replica goes on by itself, and every so many updates all of them come together."""

    in_graphs = False

    def __init__(self, optimizer: Optimizer, flat: Flat, exchange: Exchange, every: int) -> None:
        self._optimizer, self._flat, self._exchange, self._every = optimizer, flat, exchange, every
        self._since = 0

    @property
    def in_sync(self) -> bool:
        return not self._since

    def update(self, segment: slice) -> None:
        self._optimizer.step(segment)
        self._since += 1
        if self._since == self._every:
            self._come_together()
            self._since = 0
        else:
            self._exchange.all_reduce_mean()  # of nothing: a meeting, so that all leave after the same update

    @abstractmethod
    def _come_together(self) -> None:
        """What an exchange makes of the replicas."""


class LocalSGD(Periodic):
    """Local SGD: replicas become their average."""

    @contextmanager
    def synchronized(self) -> Iterator[None]:
        if self._since:
            self._come_together()
            self._since = 0
        yield

    def restart(self) -> None:
        self._since = 0

    def _come_together(self) -> None:
        self._exchange.all_reduce_mean(self._flat.state)
        self._optimizer.refresh(slice(0, len(self._flat.parameters)))


class Elastic(Periodic):
    """Each replica is drawn to a centre, and the centre to the replicas; the centre is what is validated and saved.

    AverageMomentum stay each replica's own; float buffers become their average. ``alpha`` is the moving rate.
    """

    def __init__(
        self, optimizer: Optimizer, flat: Flat, exchange: Exchange, *, every: int, alpha: float, world_size: int
    ) -> None:
        super().__init__(optimizer, flat, exchange, every)
        self._alpha, self._world_size = alpha, world_size
        self._centre = flat.parameters.clone()
        self._all_parameters = slice(0, len(flat.parameters))
        self._shared = exchange.allocate(len(flat.parameters) + len(flat.buffers))

    @contextmanager
    def synchronized(self) -> Iterator[None]:
        """The centre, at rest: its momentum are zero."""
        flat = self._flat
        if self._since and len(flat.buffers):
            self._exchange.all_reduce_mean(flat.buffers)
        mine = flat.parameters.clone(), flat.momentum.clone()
        self._become(self._centre, torch.zeros_like(flat.momentum))
        try:
            yield
        finally:
            self._become(*mine)

    def restart(self) -> None:
        self._centre.copy_(self._flat.parameters)
        self._since = 0

    def _come_together(self) -> None:
        """The two lines above."""
        flat = self._flat
        torch.cat([flat.parameters, flat.buffers], out=self._shared)
        self._exchange.all_reduce_mean(self._shared)
        mean, buffers = self._shared.split([len(flat.parameters), len(flat.buffers)])
        flat.parameters.lerp_(self._centre, self._alpha)
        self._centre.lerp_(mean, self._world_size * self._alpha)
        flat.buffers.copy_(buffers)
        self._optimizer.refresh(self._all_parameters)

    def _become(self, parameters: torch.Tensor, momentum: torch.Tensor) -> None:
        self._flat.parameters.copy_(parameters)
        self._flat.momentum.copy_(momentum)
        self._optimizer.refresh(self._all_parameters)


def build_sync(
    config: ExchangeConfig, optimizer: Optimizer, flat: Flat, exchange: Exchange, world_size: int
) -> SyncStrategy:
    """The rule that ``exchange.rule``, ``every``, ``alpha`` and ``what`` ask for; one worker needs none."""
    if world_size == 1 or not config.apart:
        return EveryUpdate(KINDS[config.averaged](optimizer, flat, exchange), flat, exchange)
    if config.rule == "average":
        return LocalSGD(optimizer, flat, exchange, config.every)
    alpha = moving_rate(config, world_size)
    return Elastic(optimizer, flat, exchange, every=config.every, alpha=alpha, world_size=world_size)


def moving_rate(config: ExchangeConfig, world_size: int) -> float:
    """``exchange.alpha``, or the paper's.

    >>> moving_rate(ExchangeConfig(rule="elastic"), 2)
    0.45
    """
    return config.alpha or _BETA / world_size
