"""``Peer`` among GPUs that reach each other's memory, without the hosts: they meet on the device.

An exchange is then work in a stream like any other. A CUDA graph may hold it, copies go on beside computing, and a
host may be some updates ahead of its GPU. So whether to leave is agreed on a few updates late, but after the same
one everywhere.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lib.errors import PeerLost
from lib.exchange.base import chunks
from lib.exchange.peer import Peer
from lib.ipc.channel import Channel
from lib.kernels.mean import mean
from lib.kernels.meeting import BOARD_SIZE, Status, meet

_POLL_S = 50e-6
# Up to so many bytes each replica averages all of a stretch by itself: sharing the work out takes longer.
_SMALL = 1 << 20


class DevicePeer(Peer):
    """``Exchange`` among GPUs of one machine, one each. ``on_wait`` is called while a host waits for its device, which
    it may be ``ahead`` updates ahead of.
    """

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
    ) -> None:
        super().__init__(rank, channels, device)
        self._ahead = ahead
        self.lag = ahead + 1  # what a host asks for goes with the update after the one in hand
        self._patience_ns, self._on_wait = int(patience_s * 1e9), on_wait
        self._status = Status(device)
        self._told = False
        self._outcomes: deque[tuple[Tensor, torch.cuda.Event]] = deque()
        self._spare = [self._room_for_outcome() for _ in range(ahead + 1)]
        self.allocate(BOARD_SIZE, torch.int64)
        self._boards = self._rows.pop()

    def all_reduce_mean(self, *segments: Tensor) -> None:
        if sum(segment.nbytes for segment in segments) <= _SMALL:
            self._average_alone(segments)
        else:
            self._average_in_shares(segments)

    def _average_alone(self, segments: Sequence[Tensor]) -> None:
        """All do the same sums in the same order, so all get the same bits."""
        means = [torch.empty_like(segment) for segment in segments]
        self._meet_there()
        for segment, out in zip(segments, means, strict=True):
            mean(self._everyones(segment), out)
        self._meet_there()  # from here on nobody reads what we overwrite below
        for segment, out in zip(segments, means, strict=True):
            segment.copy_(out)

    def _average_in_shares(self, segments: Sequence[Tensor]) -> None:
        replicas = [[chunks(theirs, self._world_size) for theirs in self._everyones(s)] for s in segments]
        self._meet_there()
        for parts in replicas:
            own = parts[self._rank][self._rank]
            replicas_here = {self._rank: own}
            for rank in self._others():
                # Copied first: the copy engines do that while the processors compute something else.
                replicas_here[rank] = parts[rank][self._rank].clone()
            mean([replicas_here[rank] for rank in range(self._world_size)], own)
        self._meet_there()  # from here on nobody reads what we overwrite below
        for parts in replicas:
            for rank in self._others():
                parts[self._rank][rank].copy_(parts[rank][rank], non_blocking=True)
        self._meet_there()  # the next gradients must not overwrite what others still read

    def sync_stop(self) -> None:
        if self.stop_requested and not self._told:
            self._told = True
            self._status.stop_requested.fill_(1)
        outcome, event = self._spare.pop(), torch.cuda.Event()
        outcome.copy_(self._status.outcome, non_blocking=True)
        event.record()
        self._outcomes.append((outcome, event))
        if len(self._outcomes) > self._ahead:
            self._take_outcome()

    def synchronize(self) -> None:
        event = torch.cuda.Event()
        event.record()
        self._wait(event)
        self._read(self._status.outcome)

    def _others(self) -> list[int]:
        """All other ranks, each worker beginning with another one: no device's links are asked by all at once."""
        return [(self._rank + distance) % self._world_size for distance in range(1, self._world_size)]

    def close(self) -> None:
        self._boards = []  # with the rows, before the meeting: an owner must outlive the users of its memory
        super().close()

    def _room_for_outcome(self) -> Tensor:
        return torch.zeros_like(self._status.outcome, device="cpu", pin_memory=self._device.type == "cuda")

    def _take_outcome(self) -> None:
        outcome, event = self._outcomes.popleft()
        self._wait(event)
        self._spare.append(outcome)
        self.stopping |= self._read(outcome)

    def _read(self, outcome: Tensor) -> bool:
        """Whether to leave. Raises PeerLost if somebody did not come."""
        stopping, lost, waited_ns = outcome.tolist()
        self.spent_s = waited_ns / 1e9
        if lost:
            raise PeerLost(f"trainer {lost - 1} did not come to a meeting within {self._patience_ns / 1e9:g} s")
        return bool(stopping)

    def _wait(self, event: torch.cuda.Event) -> None:
        # Meetings on the device give up after this time, so it has stopped working if it takes any longer.
        deadline = time.monotonic() + 2 * self._patience_ns / 1e9
        while not event.query():
            if time.monotonic() > deadline:
                raise PeerLost(f"{self._device} has not done its work for {2 * self._patience_ns / 1e9:g} s")
            self._on_wait("waiting for the device")
            time.sleep(_POLL_S)

    def _meet_there(self) -> None:
        meet(self._boards, self._rank, self._status, self._patience_ns)
