"""Lookahead's meeting of slow and fast weights.

Plain twin: ``lib.training.lookahead.Lookahead``.
"""

import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024


def merge(w: Tensor, slow: Tensor, copy: Tensor, due: Tensor, share: float) -> None:
    """If ``due``, int32 (), is not 0, move ``slow`` by ``share`` of the way to ``w``; copy it to ``w`` and ``copy``.

    All are contiguous (N,), ``w`` and ``slow`` float32, ``copy`` of any floating dtype.
    """
    _merge[(triton.cdiv(len(w), _BLOCK),)](w, slow, copy, due, len(w), share, BLOCK=_BLOCK)


@triton.jit
def _merge(w, slow, copy, due, n, share, BLOCK: tl.constexpr):
    if tl.load(due) != 0:
        i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        mask = i < n
        before = tl.load(slow + i, mask, 0.0)
        after = before + share * (tl.load(w + i, mask, 0.0) - before)
        tl.store(slow + i, after, mask)
        tl.store(w + i, after, mask)
        tl.store(copy + i, after.to(copy.dtype.element_ty), mask)
