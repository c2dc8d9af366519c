"""Stochastic gradient descent with momentum, as theano_alexnet does it, on flat parameters.

With learning rate r, momentum factor m, weight decay d and gradient g of weight w:

    g <- g + d w                  weights only, or all parameters: ``decayed``
    v <- m v - r g                v is the momentum, the rate included; biases learn at ``bias_rate_factor`` times r
    w <- w + v                    or, with Nesterov momentum, w + m v - r g

Replicas may average v between the second line and the third. The Nesterov step is therefore written without the
gradient: with v' the momentum before the update, m v - r g is (1 + m) v - m v'.

(theano_alexnet stores the Nesterov step as the momentum, which decays it twice; this does not.)
"""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..config.schema import OptimizerConfig
from .flat import FlatParameters


class Optimizer(Protocol):
    """An update rule on segments of the flat parameters."""

    capturable: bool
    """whether a CUDA graph may capture ``step``, which may then be called segment by segment"""

    def set(self, lr: float, weight_decay: float) -> None:
        """Set the learning rate and weight decay of the updates that follow."""

    def step(self, segment: slice, gathered: Sequence[Tensor] = ()) -> None:
        """Update momentum and parameters of ``segment`` from its gradients, or from the mean of those ``gathered``."""

    def refresh(self, segment: slice) -> None:
        """Recompute what is derived from the parameters, after someone else has changed them."""


@runtime_checkable
class LinearOptimizer(Optimizer, Protocol):
    """An update rule that is linear in the gradients, in two halves between which momentum may be averaged."""

    def update_momentum(self, segment: slice) -> None:
        """Run the first half of ``step``: new momentum from gradients."""

    def apply(self, segment: slice) -> None:
        """Run the second half of ``step``: new parameters from momentum."""


class MomentumSGD:
    """``LinearOptimizer`` in plain PyTorch: updates ``flat.parameters`` and ``flat.momentum`` in place."""

    capturable = True

    def __init__(self, flat: FlatParameters, config: OptimizerConfig) -> None:
        self._lr = self._weight_decay = 0.0
        self._flat, self._config = flat, config

    def set(self, lr: float, weight_decay: float) -> None:
        self._lr, self._weight_decay = lr, weight_decay

    def step(self, segment: slice, gathered: Sequence[Tensor] = ()) -> None:
        if gathered:
            self._flat.gradients[segment].copy_(mean_gradient(self._flat, segment, gathered))
        self.update_momentum(segment)
        self.apply(segment)

    @torch.no_grad()
    def update_momentum(self, segment: slice) -> None:
        """Compute the first two lines above; gradients are overwritten.

        With Nesterov momentum, parameters lose m v' here, so that ``apply`` need not know v'.
        """
        flat, config = self._flat, self._config
        for group, lr_factor, decay_factor in parameter_groups(segment, flat.n_weights, config):
            w, v, g = flat.parameters[group], flat.momentum[group], flat.gradients[group]
            if decay_factor and self._weight_decay:
                g.add_(w, alpha=self._weight_decay * decay_factor)
            if config.nesterov:
                w.sub_(v, alpha=config.momentum)
            v.mul_(config.momentum).add_(g, alpha=-self._lr * lr_factor)

    @torch.no_grad()
    def apply(self, segment: slice) -> None:
        factor = 1 + self._config.momentum if self._config.nesterov else 1.0
        self._flat.parameters[segment].add_(self._flat.momentum[segment], alpha=factor)

    def refresh(self, segment: slice) -> None:
        pass


def mean_gradient(flat: FlatParameters, segment: slice, gathered: Sequence[Tensor]) -> Tensor:
    """Return the gradients of ``segment``, or the mean of those ``gathered``, in float32."""
    if not gathered:
        return flat.gradients[segment].float()
    return torch.stack([part.float() for part in gathered]).mean(0)


def parameter_groups(segment: slice, n_weights: int, config: OptimizerConfig) -> Iterator[tuple[slice, float, float]]:
    """Yield ``segment`` split into weights and the rest (biases, norms): (group, lr factor, weight decay factor)."""
    weights = slice(segment.start, min(segment.stop, n_weights))
    others = slice(max(segment.start, n_weights), segment.stop)
    if weights.start < weights.stop:
        yield weights, 1.0, 1.0
    if others.start < others.stop:
        yield others, config.bias_rate_factor, 1.0 if config.decayed == "all" else 0.0
