"""Stochastic gradient descent with momentum, as theano_alexnet does it, on flat rows of memory.

With rate r, momentum m, decay d and gradient g of weight w:

    g <- g + d w                  weights only, or all parameters: ``decayed``
    v <- m v - r g                the rate is inside the velocity; biases learn at ``bias_rate_factor`` times r
    w <- w + v                    or, with Nesterov's look-ahead, w + m v - r g

Replicas may average momentum between the second line and the third. The look-ahead is therefore written without
the gradient: with v' the velocity before the update, m v - r g is (1 + m) v - m v'.

Parameters that are frozen have no place in these rows.

(theano_alexnet stored the look-ahead step as the velocity, which decays it twice; this does not.)
"""

from collections.abc import Iterator

import torch

from lib.config.schema import OptimizerConfig
from lib.training.flat import Flat


class MomentumSGD:
    """Updates ``flat.parameters`` and ``flat.momentum`` in place, at ``rate`` and ``weight_decay``."""

    def __init__(self, flat: Flat, config: OptimizerConfig) -> None:
        self.rate = self.weight_decay = 0.0
        self._flat, self._config = flat, config

    def step(self, segment: slice) -> None:
        """One update of this stretch of the parameters; its ``flat.gradients`` are used up."""
        self.update_momentum(segment)
        self.apply(segment)

    @torch.no_grad()
    def update_momentum(self, segment: slice) -> None:
        """The first two lines above; with Nesterov, weights give up what they get too much by the third."""
        flat, config = self._flat, self._config
        for group, rate_factor, decay_factor in parameter_groups(segment, flat.n_weights, config):
            w, v, g = flat.parameters[group], flat.momentum[group], flat.gradients[group]
            if decay_factor and self.weight_decay:
                g.add_(w, alpha=self.weight_decay * decay_factor)
            if config.nesterov:
                w.sub_(v, alpha=config.momentum)
            v.mul_(config.momentum).add_(g, alpha=-self.rate * rate_factor)

    @torch.no_grad()
    def apply(self, segment: slice) -> None:
        """The third line."""
        factor = 1 + self._config.momentum if self._config.nesterov else 1.0
        self._flat.parameters[segment].add_(self._flat.momentum[segment], alpha=factor)

    def refresh(self, segment: slice) -> None:
        """Nothing is derived from the weights here."""


def parameter_groups(segment: slice, n_weights: int, config: OptimizerConfig) -> Iterator[tuple[slice, float, float]]:
    """``segment`` in weights, then biases and norms: (stretch, factor of the rate, factor of the decay) of each."""
    weights = slice(segment.start, min(segment.stop, n_weights))
    others = slice(max(segment.start, n_weights), segment.stop)
    if weights.start < weights.stop:
        yield weights, 1.0, 1.0
    if others.start < others.stop:
        yield others, config.bias_rate_factor, 1.0 if config.decayed == "all" else 0.0
