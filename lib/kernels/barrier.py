"""A barrier between processes on their GPUs: no kernel passes before all have arrived, no host waits.

Each device has a signal pad that the other devices write to. In its n-th barrier, a device writes a signal that
contains n to every pad, then waits until all signals on its own pad contain n. There are two slots per signal, used
alternately: a device can be at most one barrier ahead, so no signal is overwritten before it is read.

Whatever a device wrote before a barrier is visible to all others after it: work in a stream runs in order, and the
signal is written with release semantics for the whole system.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import globaltimer

MAX_DEVICES = 8
"""largest number of devices of a barrier"""
# Distance between signals in int64: 128 bytes, a cache line of a GPU.
_STRIDE = 16
SIGNAL_PAD_SIZE = 2 * MAX_DEVICES * _STRIDE
"""int64 elements of a signal pad"""


class Status:
    """A device's state across barriers: an int64 tensor on the device."""

    def __init__(self, device: torch.device) -> None:
        # The barrier's number, ``outcome``, ``stop_requested``, and the number of the barriers beside.
        self.state = torch.zeros(6, dtype=torch.int64, device=device)

    @property
    def outcome(self) -> Tensor:
        """Result of the barriers so far, int64 (3,).

        1 if any device requested a stop before the last one, else 0; 1 + the rank that did not arrive, or 0; total
        nanoseconds of waiting.
        """
        return self.state[1:4]

    @property
    def stop_requested(self) -> Tensor:
        """Whether this device requests a stop, (): 1 or 0, set by the host."""
        return self.state[4]


def barrier(signal_pads: list[Tensor], rank: int, status: Status, timeout_ns: int, *, beside: bool = False) -> None:
    """Enqueue a barrier of the devices with these ``signal_pads``, in rank order; each is int64 (SIGNAL_PAD_SIZE,).

    Barriers ``beside`` the others have signal pads of their own, and may run at the same time in another stream.
    A barrier ends after ``timeout_ns`` even if a device did not arrive. Later barriers then do not wait at all.
    """
    padded = [*signal_pads, *[signal_pads[0]] * (MAX_DEVICES - len(signal_pads))]
    _barrier[(1,)](
        *padded, signal_pads[rank], status.state, timeout_ns,
        RANK=rank, COUNT=len(signal_pads), STRIDE=_STRIDE, NUMBER=5 if beside else 0, num_warps=1,
    )  # fmt: skip


@triton.jit
def _barrier(
    p0, p1, p2, p3, p4, p5, p6, p7, own, status, timeout_ns,
    RANK: tl.constexpr, COUNT: tl.constexpr, STRIDE: tl.constexpr, NUMBER: tl.constexpr,
):  # fmt: skip
    number = tl.load(status + NUMBER) + 1
    tl.store(status + NUMBER, number)
    lost = tl.load(status + 2)
    stopping = tl.load(status + 4)
    signal = 2 * number + stopping
    slot = (number % 2) * COUNT * STRIDE
    pads = (p0, p1, p2, p3, p4, p5, p6, p7)
    for other in tl.static_range(COUNT):
        if other != RANK:
            tl.atomic_xchg(pads[other] + slot + RANK * STRIDE, signal, sem="release", scope="sys")
    start = globaltimer()
    now = start
    for other in tl.static_range(COUNT):
        if other != RANK:
            address = own + slot + other * STRIDE
            seen = tl.load(address, volatile=True)
            while (seen < 2 * number) & (now - start < timeout_ns) & (lost == 0):
                seen = tl.load(address, volatile=True)
                now = globaltimer()
            if seen < 2 * number:
                tl.store(status + 2, other + 1)
            stopping = stopping | (seen & 1)
    tl.store(status + 1, stopping)
    tl.store(status + 3, tl.load(status + 3) + (globaltimer() - start))
