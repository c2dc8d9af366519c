"""``Collective`` among GPUs, through NCCL, as work in a stream that a CUDA graph can capture."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from .base import MAX_GATHERED
from .collective import Collective, raise_peer_lost
from .device_wait import DelayedReader, DeviceWait


class DeviceCollective(Collective):
    """``Exchange`` among one GPU per process. The hosts do not wait for it, but learn of a stop some updates late."""

    capturable = True

    def __init__(
        self,
        rank: int,
        world_size: int,
        device: torch.device,
        patience_s: float,
        on_wait: Callable[[str], None] = lambda doing: None,
        *,
        ahead: int,
    ) -> None:
        """Let the host be ``ahead`` updates ahead of its device."""
        super().__init__(rank, world_size, device, patience_s, on_wait)
        self.lag = ahead + 1  # a host's request travels with the update after the current one
        self._wait = DeviceWait(device, patience_s, on_wait)
        self._request, self._requested = torch.zeros(2, 1, device=device)
        self._reader = DelayedReader(self._requested, ahead, self._wait)

    def all_reduce_mean(self, *segments: Tensor) -> None:
        with raise_peer_lost():
            for segment in segments:
                dist.all_reduce(segment, dist.ReduceOp.AVG)

    def gather(self, segment: Tensor) -> list[Tensor]:
        if self.world_size > MAX_GATHERED:
            return []
        gathered = segment.new_empty(self.world_size, len(segment))
        with raise_peer_lost():
            dist.all_gather_into_tensor(gathered, segment)
        return list(gathered)

    def sync_stop(self) -> None:
        if self.stop_requested:
            self._request.fill_(1)
        self._requested.copy_(self._request)
        with raise_peer_lost():
            dist.all_reduce(self._requested, dist.ReduceOp.MAX)
        requested = self._reader.read()
        self.stopping |= requested is not None and bool(requested)

    def synchronize(self) -> None:
        self._wait.all_work()
