"""Wait for a device without blocking in it, and read its small results some updates late."""

import time
from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import PeerLost

_POLL_S = 50e-6


class DeviceWait:
    """Waits for events of ``device``, with heartbeats. Raises PeerLost if one does not come in twice ``timeout_s``.

    A kernel that waits for other devices ends after ``timeout_s``. A device that takes twice as long has stopped
    working.
    """

    def __init__(self, device: torch.device, timeout_s: float, on_wait: Callable[[str], None]) -> None:
        self._device, self._timeout_s, self._on_wait = device, timeout_s, on_wait

    def __call__(self, event: torch.cuda.Event) -> None:
        deadline = time.monotonic() + 2 * self._timeout_s
        while not event.query():
            if time.monotonic() > deadline:
                raise PeerLost(f"{self._device} did not finish its work within {2 * self._timeout_s:g} s")
            self._on_wait("waiting for the device")
            time.sleep(_POLL_S)

    def all_work(self) -> None:
        """Wait for everything that was enqueued in the current stream."""
        event = torch.cuda.Event()
        event.record()
        self(event)


class DelayedReader:
    """Reads a small tensor of a device ``ahead`` updates late, so that the host can stay that far ahead."""

    def __init__(self, source: Tensor, ahead: int, wait: DeviceWait) -> None:
        self._source, self._ahead, self._wait = source, ahead, wait
        self._copies: deque[tuple[Tensor, torch.cuda.Event]] = deque()  # which the device still has to make
        pinned = source.device.type == "cuda"
        self._free = [torch.zeros_like(source, device="cpu", pin_memory=pinned) for _ in range(ahead + 1)]

    def read(self) -> Tensor | None:
        """Enqueue a copy of the tensor. Return the one of ``ahead`` calls before, valid until the next call."""
        copy, event = self._free.pop(), torch.cuda.Event()
        copy.copy_(self._source, non_blocking=True)
        event.record()
        self._copies.append((copy, event))
        if len(self._copies) <= self._ahead:
            return None
        value, event = self._copies.popleft()
        self._wait(event)
        self._free.append(value)
        return value
