"""The exchange of a single worker. With it, the training loop needs no ``if`` for a run without other workers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .activations import ImaginedActivations


class Alone:
    """``Exchange`` of a single worker: there is nothing to average.

    With a ``world_size`` it takes the place of so many equal workers, to measure one of them.
    """

    exchanged_s = 0.0
    capturable = True
    lag = 0
    rank = 0

    def __init__(self, device: torch.device, world_size: int = 1) -> None:
        self.world_size = world_size
        self.stopping = self.stop_requested = False
        self._device = device

    def allocate(self, numel: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(numel, dtype=dtype, device=self._device)

    def open_activations(self, n_bytes: int) -> ImaginedActivations:
        return ImaginedActivations(self.world_size)

    def broadcast(self, segment: Tensor) -> None:
        pass

    def all_reduce_mean(self, *segments: Tensor) -> None:
        pass

    def gather(self, segment: Tensor) -> list[Tensor]:
        return [segment]

    def sync_stop(self) -> None:
        self.stopping = self.stop_requested

    def synchronize(self) -> None:
        pass

    def all_gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        self.stopping = self.stop_requested
        return [tuple(values)]

    def verify(self, segment: Tensor) -> None:
        pass

    def request_stop(self) -> None:
        self.stop_requested = True

    def close(self) -> None:
        pass
