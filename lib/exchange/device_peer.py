"""``Peer`` among GPUs that can access each other's memory. The barriers run on the devices, without the hosts.

An exchange is then work in a stream like any other. A CUDA graph can capture it, copies overlap with computation, and
a host can be some updates ahead of its GPU. Therefore a stop takes effect a few updates late, but after the same
update on all replicas.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ..errors import PeerLost
from ..ipc.channel import Channel
from ..kernels.barrier import SIGNAL_PAD_SIZE, Status, barrier
from ..kernels.mean import mean
from .activations import SharedActivations
from .base import MAX_GATHERED, chunks
from .device_wait import DelayedReader, DeviceWait
from .peer import Peer

# Up to this many bytes, each replica averages whole segments by itself: dividing the work takes longer.
_SMALL = 1 << 20


class DevicePeer(Peer):
    """``Exchange`` among GPUs of one machine, one per worker."""

    capturable = True

    def __init__(
        self,
        rank: int,
        channels: Mapping[int, Channel],
        device: torch.device,
        *,
        ahead: int,
        patience_s: float,
        on_wait: Callable[[str], None],
        across: Callable[[Tensor], None] | None = None,
    ) -> None:
        """Let the host be ``ahead`` updates ahead of its device; call ``on_wait`` while it waits for the device."""
        super().__init__(rank, channels, device, across)
        self.lag = ahead + 1  # a host's request travels with the update after the current one
        self._timeout_s = patience_s
        self._status = Status(device)
        self._stop_sent = False
        self._wait = DeviceWait(device, patience_s, on_wait)
        self._reader = DelayedReader(self._status.outcome, ahead, self._wait)
        self._signal_pads = self._allocate_signal_pads()
        self._activation_pads: list[Tensor] = []

    def open_activations(self, n_bytes: int) -> SharedActivations:
        # Barriers of their own: those of the gradients may run at the same time, in another stream.
        self._activation_pads = self._activation_pads or self._allocate_signal_pads()
        return super().open_activations(n_bytes)

    def gather(self, segment: Tensor) -> list[Tensor]:
        if self.world_size > MAX_GATHERED or self._across:
            return []
        replicas = self._replicas(segment)
        self._device_barrier()
        for rank in self._others():
            # Copied: the copy engines do it while the multiprocessors compute something else.
            replicas[rank] = replicas[rank].clone()
        self._device_barrier()  # the next gradients must not overwrite memory that others still read
        return replicas

    def all_reduce_mean(self, *segments: Tensor) -> None:
        if sum(segment.nbytes for segment in segments) <= _SMALL and not self._across:
            self._average_whole(segments)
        else:
            self._average_chunks(segments)

    def _average_whole(self, segments: Sequence[Tensor]) -> None:
        """Average on every replica, in the same order on each, so that all get the same bits."""
        means = [torch.empty_like(segment) for segment in segments]
        self._device_barrier()
        for segment, out in zip(segments, means, strict=True):
            mean(self._replicas(segment), out)
        self._device_barrier()  # from here on nobody reads the segments that are overwritten below
        for segment, out in zip(segments, means, strict=True):
            segment.copy_(out)

    def _average_chunks(self, segments: Sequence[Tensor]) -> None:
        """Average this worker's chunk of each segment, then copy the chunks of the others."""
        replicas = [[chunks(replica, self.world_size) for replica in self._replicas(s)] for s in segments]
        self._device_barrier()
        for parts in replicas:
            own = parts[self.rank][self.rank]
            inputs = {self.rank: own}
            for rank in self._others():
                inputs[rank] = parts[rank][self.rank].clone()
            mean([inputs[rank] for rank in range(self.world_size)], own)
            if self._across:
                self._across(own)
        self._device_barrier()  # from here on nobody reads the chunks that are overwritten below
        for parts in replicas:
            for rank in self._others():
                parts[self.rank][rank].copy_(parts[rank][rank], non_blocking=True)
        self._device_barrier()  # the next gradients must not overwrite memory that others still read

    def sync_stop(self) -> None:
        if self.stop_requested and not self._stop_sent:
            self._stop_sent = True
            self._status.stop_requested.fill_(1)
        outcome = self._reader.read()
        self.stopping |= outcome is not None and self._read(outcome)

    def synchronize(self) -> None:
        self._wait.all_work()
        self._read(self._status.outcome)

    def close(self) -> None:
        # Before the barrier in ``super().close``: the owner of memory must outlive its users.
        self._signal_pads = self._activation_pads = []
        super().close()

    def _others(self) -> list[int]:
        """Return all other ranks. Each worker starts with another one, which spreads the load over the links."""
        return [(self.rank + distance) % self.world_size for distance in range(1, self.world_size)]

    def _read(self, outcome: Tensor) -> bool:
        """Return whether any replica requested a stop. Raise PeerLost if one did not reach a barrier."""
        stopping, missing, waited_ns = outcome.tolist()
        self.exchanged_s = waited_ns / 1e9
        if missing:
            raise PeerLost(f"trainer {missing - 1} did not reach a barrier within {self._timeout_s:g} s")
        return bool(stopping)

    def _allocate_signal_pads(self) -> list[Tensor]:
        self.allocate(SIGNAL_PAD_SIZE, torch.int64)
        return self._allocations.pop()

    def _device_barrier(self) -> None:
        barrier(self._signal_pads, self.rank, self._status, int(self._timeout_s * 1e9))

    def _activations_barrier(self) -> None:
        barrier(self._activation_pads, self.rank, self._status, int(self._timeout_s * 1e9), beside=True)
