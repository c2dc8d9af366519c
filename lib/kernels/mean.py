"""The mean over replicas, or their sum, in float32 in the order of their ranks.

Plain twin: the float32 sum of the replicas one after the other, divided by their number.
"""

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024
MAX_REPLICAS = 8
"""largest number of replicas of one call"""


def mean(replicas: Sequence[Tensor], out: Tensor) -> None:
    """Write the mean of two to ``MAX_REPLICAS`` tensors (N,) to ``out`` (N,).

    All are contiguous and of the same floating dtype. ``out`` may be one of the replicas.
    """
    padded = [*replicas, *[replicas[0]] * (MAX_REPLICAS - len(replicas))]
    _mean[(triton.cdiv(len(out), _BLOCK),)](*padded, out, len(out), COUNT=len(replicas), BLOCK=_BLOCK)


def scaled_sum(parts: Sequence[Tensor], scale: float, out: Tensor) -> None:
    """Write ``scale`` times the sum of one to ``MAX_REPLICAS`` contiguous tensors to ``out``, which is like them."""
    padded = [*parts, *[parts[0]] * (MAX_REPLICAS - len(parts))]
    grid = (triton.cdiv(out.numel(), _BLOCK),)
    _scaled_sum[grid](*padded, scale, out, out.numel(), COUNT=len(parts), BLOCK=_BLOCK)


@triton.jit
def _mean(r0, r1, r2, r3, r4, r5, r6, r7, out, n, COUNT: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    replicas = (r0, r1, r2, r3, r4, r5, r6, r7)
    total = tl.load(r0 + i, mask, 0.0).to(tl.float32)
    for k in tl.static_range(1, COUNT):
        total += tl.load(replicas[k] + i, mask, 0.0).to(tl.float32)
    tl.store(out + i, (total / COUNT).to(out.dtype.element_ty), mask)


@triton.jit
def _scaled_sum(r0, r1, r2, r3, r4, r5, r6, r7, scale, out, n, COUNT: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    parts = (r0, r1, r2, r3, r4, r5, r6, r7)
    total = tl.load(r0 + i, mask, 0.0).to(tl.float32)
    for k in tl.static_range(1, COUNT):
        total += tl.load(parts[k] + i, mask, 0.0).to(tl.float32)
    tl.store(out + i, (total * scale).to(out.dtype.element_ty), mask)
