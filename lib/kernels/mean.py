"""The mean of several replicas' numbers, added up in float32 in the order of ranks.

Plain twin: ``Peer._average_share``.
"""

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024
MOST = 8
"""replicas that one call averages at most"""


def mean(replicas: Sequence[Tensor], out: Tensor) -> None:
    """``out`` (N,) becomes the mean of two to ``MOST`` tensors (N,) of its type; it may be one of them."""
    padded = [*replicas, *[replicas[0]] * (MOST - len(replicas))]
    _mean[(triton.cdiv(len(out), _BLOCK),)](*padded, out, len(out), COUNT=len(replicas), BLOCK=_BLOCK)


@triton.jit
def _mean(r0, r1, r2, r3, r4, r5, r6, r7, out, n, COUNT: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < n
    replicas = (r0, r1, r2, r3, r4, r5, r6, r7)
    total = tl.load(r0 + i, here, 0.0).to(tl.float32)
    for k in tl.static_range(1, COUNT):
        total += tl.load(replicas[k] + i, here, 0.0).to(tl.float32)
    tl.store(out + i, (total / COUNT).to(out.dtype.element_ty), here)
