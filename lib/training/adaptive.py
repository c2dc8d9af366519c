"""AdamW, RAdam and LAMB on flat parameters: rules that divide the mean gradient by the root of its mean square.

With gradient g, learning rate r, weight decay d, update number t and the two ``optimizer.betas``:

    m <- b1 m + (1 - b1) g
    v <- b2 v + (1 - b2) g^2
    u = a m / (b sqrt(v) + c) + d w        a, b, c: ``coefficients``, which hold all that depends on t
    w <- w - r u                           LAMB, weights only: w - r |w| / |u| u, with the norms of each tensor

AdamW is that of arXiv:1711.05101, as in ``torch.optim.AdamW``; RAdam of arXiv:1908.03265, as in ``torch.optim.RAdam``
with decoupled decay; LAMB of arXiv:1904.00962, in which ``|w| / |u|`` is 1 where either norm is 0, and for parameters
without decay (``optimizer.decayed``), as in the authors' code.

The root is not linear: replicas must average gradients, not what each would make of its own.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..config.schema import OptimizerConfig
from ..system.cache_blocks import cache_blocks
from .average_gradients import norm_of
from .flat import FlatParameters
from .optimizer import mean_gradient, parameter_groups

Coefficients = tuple[float, float, float]

Squares = Callable[[slice, Tensor], Tensor]
"""from the sums of squares of shares of the tensors of a group, (tensors, 2), those of the whole tensors"""


class Adaptive:
    """``Optimizer`` in plain PyTorch: updates ``flat.parameters``, m in ``flat.momentum`` and v in a slot."""

    capturable = True

    def __init__(self, flat: FlatParameters, config: OptimizerConfig, squares: Squares | None = None) -> None:
        """``squares`` is there where ``flat`` holds shares of tensors, of whose norms LAMB needs those of all."""
        self._flat, self._config, self._squares = flat, config, squares
        self._second = flat.slots["second_moment"]
        self._lr = self._weight_decay = 0.0
        self._coefficients = (0.0, 0.0, 1.0)

    def set(self, lr: float, weight_decay: float) -> None:
        self._lr, self._weight_decay = lr, weight_decay
        self._coefficients = ADAPTIVE[self._config.name](self._flat.updates, self._config)

    @torch.no_grad()
    def step(self, segment: slice, gathered: Sequence[Tensor] = ()) -> None:
        gradients = mean_gradient(self._flat, segment, gathered)
        for group, lr_factor, decay_factor in parameter_groups(segment, self._flat.n_weights, self._config):
            # LAMB needs the norms of whole tensors.
            blocks = [group] if self._config.name == "lamb" else cache_blocks(group, gradients.device)
            for block in blocks:
                g = gradients[block.start - segment.start : block.stop - segment.start]
                self._update(block, g, lr_factor, decay_factor)

    def _update(self, group: slice, g: Tensor, lr_factor: float, decay_factor: float) -> None:
        flat, (beta1, beta2), (a, b, c) = self._flat, self._config.betas, self._coefficients
        w, m, v = flat.parameters[group], flat.momentum[group], self._second[group]
        m.lerp_(g, 1 - beta1)
        v.lerp_(g.square(), 1 - beta2)
        u = v.sqrt().mul_(b).add_(c).reciprocal_().mul_(m).mul_(a).add_(w, alpha=self._weight_decay * decay_factor)
        if self._config.name == "lamb" and decay_factor:
            parts = [slice(part.start - group.start, part.stop - group.start) for part in flat.parts(group)]
            squares_T2 = torch.stack([torch.stack([norm_of([x[part]]) for x in (w, u)]) for part in parts]).square()
            if self._squares:
                squares_T2 = self._squares(group, squares_T2)
            for part, ratio in zip(parts, trust_ratios(squares_T2), strict=True):
                u[part].mul_(ratio)
        w.sub_(u, alpha=self._lr * lr_factor)

    def refresh(self, segment: slice) -> None:
        pass


def trust_ratios(squares_T2: Tensor) -> Tensor:
    """Return |w| / |u| of each tensor, or 1 where either is 0, from their squares."""
    w, u = squares_T2.unbind(1)
    return torch.where((w > 0) & (u > 0), (w / u).sqrt(), 1.0)


def adam(update: int, config: OptimizerConfig) -> Coefficients:
    """Return a, b and c of Adam's update number ``update``, counted from 1: both moments are corrected for their bias.

    >>> adam(1, OptimizerConfig(betas=(0.5, 0.75), eps=0.1))
    (2.0, 2.0, 0.1)
    """
    beta1, beta2 = config.betas
    return 1 / (1 - beta1**update), 1 / math.sqrt(1 - beta2**update), config.eps


def rectified_adam(update: int, config: OptimizerConfig) -> Coefficients:
    """Return a, b and c of RAdam's update number ``update``: momentum alone while v is the mean of too few squares.

    >>> rectified_adam(1, OptimizerConfig(betas=(0.5, 0.75)))
    (2.0, 0.0, 1.0)
    """
    beta1, beta2 = config.betas
    corrected = 1 - beta2**update
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * update * beta2**update / corrected
    if length <= 5:  # torch's limit; the paper's is 4
        return 1 / (1 - beta1**update), 0.0, 1.0
    numerator, denominator = (length - 4) * (length - 2) * longest, (longest - 4) * (longest - 2) * length
    return math.sqrt(numerator / denominator * corrected) / (1 - beta1**update), 1.0, config.eps


ADAPTIVE: dict[str, Callable[[int, OptimizerConfig], Coefficients]] = {
    "adamw": adam,
    "radam": rectified_adam,
    "lamb": adam,
}
"""by ``optimizer.name``"""
