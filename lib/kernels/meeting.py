"""A meeting of processes on their devices: none goes on before all have come, and no host is asked.

Each device has a board of words that the others write to. At its n-th meeting a device writes a word that says n to
everyone's board, and waits for everyone's on its own. Two places by turns for each word: whoever is quick can be one
meeting ahead, not two, so a word is never overwritten before it was read.

What a device wrote before a meeting is seen by all others after it: kernels and copies in a stream come one after
the other, and the word is written with release semantics for the whole system.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import globaltimer

MOST = 8
"""devices that meet at most"""
# Words lie this many numbers apart: 128 bytes, which devices move as a whole.
_APART = 16
BOARD = 2 * MOST * _APART
"""numbers (int64) of a board"""


class Status:
    """A device's own account of its meetings, int64 on the device."""

    def __init__(self, device: torch.device) -> None:
        self.numbers = torch.zeros(5, dtype=torch.int64, device=device)

    @property
    def outcome(self) -> Tensor:
        """(whether any device was asked to leave, as of the last meeting; 1 + the rank that did not come, or 0;
        nanoseconds that this one has waited at meetings).
        """
        return self.numbers[1:4]

    @property
    def stop_requested(self) -> Tensor:
        """() whether this one is asked to leave."""
        return self.numbers[4]


def meet(boards: list[Tensor], rank: int, status: Status, patience_ns: int) -> None:
    """One meeting of the devices whose ``boards`` these are, by rank. Nobody is waited for longer than patience, and
    nobody at all once one has not come.
    """
    padded = [*boards, *[boards[0]] * (MOST - len(boards))]
    _meet[(1,)](
        *padded, boards[rank], status.numbers, patience_ns, RANK=rank, COUNT=len(boards), APART=_APART, num_warps=1
    )


@triton.jit
def _meet(
    b0, b1, b2, b3, b4, b5, b6, b7, own, status, patience_ns,
    RANK: tl.constexpr, COUNT: tl.constexpr, APART: tl.constexpr,
):  # fmt: skip
    number = tl.load(status) + 1
    tl.store(status, number)
    lost = tl.load(status + 2)
    stopping = tl.load(status + 4)
    word = 2 * number + stopping
    turn = (number % 2) * COUNT * APART
    boards = (b0, b1, b2, b3, b4, b5, b6, b7)
    for other in tl.static_range(COUNT):
        if other != RANK:
            tl.atomic_xchg(boards[other] + turn + RANK * APART, word, sem="release", scope="sys")
    began = globaltimer()
    now = began
    for other in tl.static_range(COUNT):
        if other != RANK:
            place = own + turn + other * APART
            seen = tl.load(place, volatile=True)
            while (seen < 2 * number) & (now - began < patience_ns) & (lost == 0):
                seen = tl.load(place, volatile=True)
                now = globaltimer()
            if seen < 2 * number:
                tl.store(status + 2, other + 1)
            stopping = stopping | (seen & 1)
    tl.store(status + 1, stopping)
    tl.store(status + 3, tl.load(status + 3) + (globaltimer() - began))
