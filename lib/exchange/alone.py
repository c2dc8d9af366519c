"""The exchange of a single worker: there is nobody to average with, so the loop needs no ``if``."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Alone:
    """``Exchange`` for world_size 1."""

    def __init__(self, device: torch.device) -> None:
        self.leaving = False
        self._device = device
        self.asked = False

    def allocate(self, numel: int) -> Tensor:
        return torch.zeros(numel, device=self._device)

    def copy_first(self) -> None:
        pass

    def average(self) -> None:
        self.leaving = self.asked

    def gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        self.leaving = self.asked
        return [tuple(values)]

    def verify(self) -> None:
        pass

    def leave(self) -> None:
        self.asked = True

    def close(self) -> None:
        pass
