"""``Adaptive`` on a GPU, in one pass over memory, which also writes the weights in the compute dtype; LAMB in two."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..config.schema import OptimizerConfig
from ..kernels import adaptive
from .adaptive import ADAPTIVE, Squares
from .flat import FlatParameters
from .optimizer import parameter_groups


class FusedAdaptive:
    """``Optimizer`` in Triton kernels. ``copy`` (N,) holds ``flat.parameters`` in the dtype the network computes in.

    All that changes between updates lies on the device, so updates in a captured CUDA graph follow it.
    """

    capturable = True

    def __init__(
        self, flat: FlatParameters, copy: Tensor, config: OptimizerConfig, squares: Squares | None = None
    ) -> None:
        """``squares`` is as for ``Adaptive``."""
        self._flat, self._copy, self._config, self._squares = flat, copy, config, squares
        self._second = flat.slots["second_moment"]
        self._values = torch.zeros(5, device=copy.device)
        self._current = [0.0] * 5
        self._blocks = adaptive.Blocks(flat.parts(flat.whole), copy.device) if config.name == "lamb" else None

    def set(self, lr: float, weight_decay: float) -> None:
        values = [lr, weight_decay, *ADAPTIVE[self._config.name](self._flat.updates, self._config)]
        for i, (value, current) in enumerate(zip(values, self._current, strict=True)):
            if value != current:
                self._values[i].fill_(value)
        self._current = values

    def step(self, segment: slice, gathered: Sequence[Tensor] = ()) -> None:
        flat, (beta1, beta2) = self._flat, self._config.betas
        gradients = gathered or [flat.gradients[segment]]
        for group, lr_factor, decay_factor in parameter_groups(segment, flat.n_weights, self._config):
            part = slice(group.start - segment.start, group.stop - segment.start)
            blocks = self._blocks if decay_factor else None
            adaptive.update(
                flat.parameters, flat.momentum, self._second, [gradient[part] for gradient in gradients], self._copy,
                self._values, group, lr_factor=lr_factor, decay_factor=decay_factor, beta1=beta1, beta2=beta2,
                blocks=blocks,
            )  # fmt: skip
            if blocks:
                if self._squares:
                    sums_T2 = blocks.sums[blocks.within(group)[1]]
                    sums_T2.copy_(self._squares(group, sums_T2))
                adaptive.apply(
                    flat.parameters, flat.momentum, self._second, self._copy, self._values, group,
                    lr_factor=lr_factor, decay_factor=decay_factor, blocks=blocks,
                )  # fmt: skip

    def refresh(self, segment: slice) -> None:
        self._copy[segment].copy_(self._flat.parameters[segment])
