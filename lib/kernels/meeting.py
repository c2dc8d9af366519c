"""A barrier between processes on their GPUs ("meeting"): no kernel passes before all have arrived, no host waits.

Each device has a board of words that the other devices write to. In its n-th meeting, a device writes a word that
contains n to every board, then waits until all words on its own board contain n. There are two slots per word, used in
turn: a device can be at most one meeting ahead, so no word is overwritten before it is read.

Whatever a device wrote before a meeting is visible to all others after it: work in a stream runs in order, and the
word is written with release semantics for the whole system.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import globaltimer

MAX_DEVICES = 8
"""largest number of devices of a meeting"""
# Distance between words in int64: 128 bytes, a cache line of a GPU.
_STRIDE = 16
BOARD_SIZE = 2 * MAX_DEVICES * _STRIDE
"""int64 numbers of a board"""


class Status:
    """A device's state across meetings: an int64 tensor on the device."""

    def __init__(self, device: torch.device) -> None:
        # The meeting's number, then ``outcome``, then ``stop_requested``.
        self.state = torch.zeros(5, dtype=torch.int64, device=device)

    @property
    def outcome(self) -> Tensor:
        """(3,): 1 if any device requested a stop before the last meeting, else 0; 1 + the rank that did not arrive,
        or 0; total nanoseconds of waiting in meetings.
        """
        return self.state[1:4]

    @property
    def stop_requested(self) -> Tensor:
        """(): 1 if this device requests a stop; set by the host."""
        return self.state[4]


def meet(boards: list[Tensor], rank: int, status: Status, patience_ns: int) -> None:
    """Enqueue a meeting of the devices with these ``boards``, in rank order; each is int64 (``BOARD_SIZE``,).

    A meeting ends after ``patience_ns`` even if a device did not arrive. Later meetings then do not wait at all.
    """
    padded = [*boards, *[boards[0]] * (MAX_DEVICES - len(boards))]
    _meet[(1,)](
        *padded, boards[rank], status.state, patience_ns, RANK=rank, COUNT=len(boards), STRIDE=_STRIDE, num_warps=1
    )


@triton.jit
def _meet(
    b0, b1, b2, b3, b4, b5, b6, b7, own, status, patience_ns,
    RANK: tl.constexpr, COUNT: tl.constexpr, STRIDE: tl.constexpr,
):  # fmt: skip
    number = tl.load(status) + 1
    tl.store(status, number)
    lost = tl.load(status + 2)
    stopping = tl.load(status + 4)
    word = 2 * number + stopping
    slot = (number % 2) * COUNT * STRIDE
    boards = (b0, b1, b2, b3, b4, b5, b6, b7)
    for other in tl.static_range(COUNT):
        if other != RANK:
            tl.atomic_xchg(boards[other] + slot + RANK * STRIDE, word, sem="release", scope="sys")
    start = globaltimer()
    now = start
    for other in tl.static_range(COUNT):
        if other != RANK:
            address = own + slot + other * STRIDE
            seen = tl.load(address, volatile=True)
            while (seen < 2 * number) & (now - start < patience_ns) & (lost == 0):
                seen = tl.load(address, volatile=True)
                now = globaltimer()
            if seen < 2 * number:
                tl.store(status + 2, other + 1)
            stopping = stopping | (seen & 1)
    tl.store(status + 1, stopping)
    tl.store(status + 3, tl.load(status + 3) + (globaltimer() - start))
