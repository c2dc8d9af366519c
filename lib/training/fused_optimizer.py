"""``MomentumSGD`` on a GPU in one pass over memory, with a copy of the weights in the type that is computed in."""

import torch
from torch import Tensor

from lib.config import OptimizerConfig
from lib.exchange.flat import Flat
from lib.kernels import sgd
from lib.training.optimizer import pieces


class FusedSGD:
    """As ``MomentumSGD``; ``copy`` (N,) follows ``flat.parameters``."""

    def __init__(self, flat: Flat, copy: Tensor, config: OptimizerConfig) -> None:
        self._flat, self._copy, self._config = flat, copy, config
        self._rate_and_decay = torch.zeros(2, device=copy.device)
        self._known = (0.0, 0.0)

    def set(self, rate: float, weight_decay: float) -> None:
        """The rate and decay of the updates to come; seen by updates that a graph has captured too."""
        if self._known != (rate, weight_decay):
            self._known = (rate, weight_decay)
            self._rate_and_decay[0].fill_(rate)
            self._rate_and_decay[1].fill_(weight_decay)

    def step(self, part: slice) -> None:
        flat, momentum, nesterov = self._flat, self._config.momentum, self._config.nesterov
        for piece, rate_factor, decay_factor in pieces(part, flat.n_weights, self._config):
            sgd.step(
                flat.parameters[piece], flat.velocities[piece], flat.gradients[piece], self._copy[piece],
                self._rate_and_decay, rate_factor=rate_factor, decay_factor=decay_factor, momentum=momentum,
                nesterov=nesterov,
            )  # fmt: skip

    def accelerate(self, part: slice) -> None:
        flat, momentum, nesterov = self._flat, self._config.momentum, self._config.nesterov
        for piece, rate_factor, decay_factor in pieces(part, flat.n_weights, self._config):
            sgd.accelerate(
                flat.parameters[piece], flat.velocities[piece], flat.gradients[piece],
                self._rate_and_decay, rate_factor=rate_factor, decay_factor=decay_factor, momentum=momentum,
                nesterov=nesterov,
            )  # fmt: skip

    def move(self, part: slice) -> None:
        factor = 1 + self._config.momentum if self._config.nesterov else 1.0
        sgd.move(self._flat.parameters[part], self._flat.velocities[part], self._copy[part], factor)

    def refresh(self, part: slice) -> None:
        self._copy[part].copy_(self._flat.parameters[part])
