"""Stochastic gradient descent with momentum, as theano_alexnet does it, on flat rows of memory.

With rate r, momentum m, decay d and gradient g of weight w:

    g <- g + d w                  weights only, or all parameters: ``decayed``
    v <- m v - r g                the rate is inside the velocity; biases learn at ``bias_rate_factor`` times r
    w <- w + v                    or, with Nesterov's look-ahead, w + m v - r g

Parameters that are frozen have no place in these rows.

(theano_alexnet stored the look-ahead step as the velocity, which decays it twice; this does not.)
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lib.config import OptimizerConfig
from lib.exchange.flat import Flat


class MomentumSGD:
    """Updates ``flat.parameters`` and ``flat.velocities`` in place."""

    def __init__(self, flat: Flat, config: OptimizerConfig) -> None:
        self._flat, self._config = flat, config

    @torch.no_grad()
    def step(self, rate: float, weight_decay: float) -> None:
        """One update; ``flat.gradients`` are used up."""
        momentum = self._config.momentum
        for w, v, g, part_rate, decay in self._parts(rate, weight_decay):
            if decay:
                g.add_(w, alpha=decay)
            v.mul_(momentum).add_(g, alpha=-part_rate)
            if self._config.nesterov:
                w.add_(v, alpha=momentum).add_(g, alpha=-part_rate)
            else:
                w.add_(v)

    def _parts(self, rate: float, weight_decay: float) -> Iterator[tuple[Tensor, Tensor, Tensor, float, float]]:
        """Weights, then biases and norms: (parameters, velocities, gradients, rate, decay)."""
        flat, split = self._flat, self._flat.n_weights
        yield flat.parameters[:split], flat.velocities[:split], flat.gradients[:split], rate, weight_decay
        yield (
            flat.parameters[split:],
            flat.velocities[split:],
            flat.gradients[split:],
            rate * self._config.bias_rate_factor,
            weight_decay if self._config.decayed == "all" else 0.0,
        )
