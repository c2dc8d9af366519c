"""Lookahead (arXiv:1907.08610) over any optimizer.

Every K updates slow weights move half of the way to the fast ones, which continue from there. Moments stay as they are.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .flat import FlatParameters
from .optimizer import Optimizer

SHARE = 0.5
"""share of the way, as in the paper"""


class Lookahead:
    """``Optimizer`` around another, in plain PyTorch. Slow weights lie in a slot of ``flat``."""

    def __init__(self, optimizer: Optimizer, flat: FlatParameters, every: int) -> None:
        self.capturable = optimizer.capturable
        self._optimizer, self._flat, self._every = optimizer, flat, every
        self._due = False

    def set(self, lr: float, weight_decay: float) -> None:
        self._optimizer.set(lr, weight_decay)
        self._set_due(self._flat.updates % self._every == 0)

    def step(self, segment: slice, gathered: Sequence[Tensor] = ()) -> None:
        self._optimizer.step(segment, gathered)
        self._merge(segment)

    def refresh(self, segment: slice) -> None:
        self._optimizer.refresh(segment)

    def _set_due(self, due: bool) -> None:
        self._due = due

    @torch.no_grad()
    def _merge(self, segment: slice) -> None:
        """Let slow and fast weights meet, if that is due."""
        if self._due:
            slow = self._flat.slots["slow"][segment].lerp_(self._flat.parameters[segment], SHARE)
            self._flat.parameters[segment].copy_(slow)
            self._optimizer.refresh(segment)
