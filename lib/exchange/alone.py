"""The exchange of a single worker: there is nobody to average with, so the loop needs no ``if``."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Alone:
    """``Exchange`` for world_size 1."""

    spent_s = 0.0
    in_graphs = True
    lag = 0

    def __init__(self, device: torch.device) -> None:
        self.leaving = self.asked = False
        self._device = device

    def allocate(self, numel: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(numel, dtype=dtype, device=self._device)

    def copy_first(self, stretch: Tensor) -> None:
        pass

    def average(self, *stretches: Tensor) -> None:
        pass

    def agree(self) -> None:
        self.leaving = self.asked

    def settle(self) -> None:
        pass

    def gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        self.leaving = self.asked
        return [tuple(values)]

    def verify(self, stretch: Tensor) -> None:
        pass

    def leave(self) -> None:
        self.asked = True

    def close(self) -> None:
        pass
