"""``MomentumSGD`` on a GPU, in one pass over memory, which also writes the weights in the compute dtype."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..config.schema import OptimizerConfig
from ..kernels import sgd
from .flat import FlatParameters
from .optimizer import parameter_groups


class FusedSGD:
    """``LinearOptimizer`` in Triton kernels. ``copy`` (N,) is ``flat.parameters`` in the dtype the network computes in.

    Learning rate and weight decay lie on the device, so updates in a captured CUDA graph follow them.
    """

    capturable = True

    def __init__(self, flat: FlatParameters, copy: Tensor, config: OptimizerConfig) -> None:
        self._flat, self._copy, self._config = flat, copy, config
        self._lr_and_decay = torch.zeros(2, device=copy.device)
        self._current = (0.0, 0.0)

    def set(self, lr: float, weight_decay: float) -> None:
        if self._current != (lr, weight_decay):
            self._current = (lr, weight_decay)
            self._lr_and_decay[0].fill_(lr)
            self._lr_and_decay[1].fill_(weight_decay)

    def step(self, segment: slice, gathered: Sequence[Tensor] = ()) -> None:
        self._update(segment, gathered or [self._flat.gradients[segment]], apply=True)

    def update_momentum(self, segment: slice) -> None:
        self._update(segment, [self._flat.gradients[segment]], apply=False)

    def _update(self, segment: slice, gradients: Sequence[Tensor], *, apply: bool) -> None:
        flat, momentum, nesterov = self._flat, self._config.momentum, self._config.nesterov
        for group, lr_factor, decay_factor in parameter_groups(segment, flat.n_weights, self._config):
            part = slice(group.start - segment.start, group.stop - segment.start)
            sgd.update(
                flat.parameters[group], flat.momentum[group], [gradient[part] for gradient in gradients],
                self._copy[group], self._lr_and_decay, lr_factor=lr_factor, decay_factor=decay_factor,
                momentum=momentum, nesterov=nesterov, apply=apply,
            )  # fmt: skip

    def apply(self, segment: slice) -> None:
        factor = 1 + self._config.momentum if self._config.nesterov else 1.0
        sgd.apply(self._flat.parameters[segment], self._flat.momentum[segment], self._copy[segment], factor)

    def refresh(self, segment: slice) -> None:
        self._copy[segment].copy_(self._flat.parameters[segment])
