"""``MomentumSGD`` on a GPU in one pass over memory, with a copy of the weights in the type that is computed in."""

import torch
from torch import Tensor

from lib.config.schema import OptimizerConfig
from lib.kernels import sgd
from lib.training.flat import Flat
from lib.training.optimizer import parameter_groups


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

    def step(self, segment: slice) -> None:
        flat, momentum, nesterov = self._flat, self._config.momentum, self._config.nesterov
        for group, rate_factor, decay_factor in parameter_groups(segment, flat.n_weights, self._config):
            sgd.step(
                flat.parameters[group], flat.momentum[group], flat.gradients[group], self._copy[group],
                self._rate_and_decay, rate_factor=rate_factor, decay_factor=decay_factor, momentum=momentum,
                nesterov=nesterov,
            )  # fmt: skip

    def update_momentum(self, segment: slice) -> None:
        flat, momentum, nesterov = self._flat, self._config.momentum, self._config.nesterov
        for group, rate_factor, decay_factor in parameter_groups(segment, flat.n_weights, self._config):
            sgd.update_momentum(
                flat.parameters[group], flat.momentum[group], flat.gradients[group],
                self._rate_and_decay, rate_factor=rate_factor, decay_factor=decay_factor, momentum=momentum,
                nesterov=nesterov,
            )  # fmt: skip

    def apply(self, segment: slice) -> None:
        factor = 1 + self._config.momentum if self._config.nesterov else 1.0
        sgd.apply(self._flat.parameters[segment], self._flat.momentum[segment], self._copy[segment], factor)

    def refresh(self, segment: slice) -> None:
        self._copy[segment].copy_(self._flat.parameters[segment])
