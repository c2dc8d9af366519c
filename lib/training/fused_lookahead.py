"""``Lookahead`` on a GPU: whether slow and fast weights meet lies on the device, so that a CUDA graph follows it."""

import torch
from torch import Tensor

from ..kernels import lookahead
from .flat import FlatParameters
from .lookahead import SHARE, Lookahead
from .optimizer import Optimizer


class FusedLookahead(Lookahead):
    """``Lookahead`` in a Triton kernel. ``copy`` (N,) is as for ``FusedSGD``."""

    def __init__(self, optimizer: Optimizer, flat: FlatParameters, copy: Tensor, every: int) -> None:
        super().__init__(optimizer, flat, every)
        self._copy = copy
        self._due_on_device = torch.zeros((), dtype=torch.int32, device=copy.device)

    def _set_due(self, due: bool) -> None:
        if due != self._due:
            self._due_on_device.fill_(due)
        self._due = due

    def _merge(self, segment: slice) -> None:
        flat = self._flat
        lookahead.merge(
            flat.parameters[segment], flat.slots["slow"][segment], self._copy[segment], self._due_on_device, SHARE
        )
