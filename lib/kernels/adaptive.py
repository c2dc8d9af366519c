"""AdamW, RAdam and LAMB: one pass that also writes a copy of the weights; for LAMB two, and the norms between them.

Plain twin: ``lib.training.adaptive.Adaptive``, which states the rule. What changes between updates is read from the
device, so a captured CUDA graph follows it: ``values``, float32 (5,), holds learning rate, weight decay, a, b and c.

Weights ``w`` and moments ``m`` and ``v`` are float32 (N,), ``copy`` (N,) and the gradients of any floating dtype, all
contiguous. Sums of squares are added in a fixed order.
"""

from bisect import bisect_left
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from .mean import MAX_REPLICAS

_BLOCK = 1024


class Blocks:
    """Blocks of at most 1,024 numbers, each within one of ``parts``, the tensors of which LAMB takes norms."""

    def __init__(self, parts: Sequence[slice], device: torch.device) -> None:
        starts = [(start, k) for k, part in enumerate(parts) for start in range(part.start, part.stop, _BLOCK)]
        self._starts = [start for start, _ in starts]
        self._firsts = [part.start for part in parts]
        ends = [min(start + _BLOCK, parts[k].stop) for start, k in starts]
        first_blocks = [bisect_left(self._starts, part.start) for part in parts]
        counts = [-(-(part.stop - part.start) // _BLOCK) for part in parts]
        self.steps = triton.cdiv(max(counts), _BLOCK)
        """vectors that the sums of one tensor take at most"""
        with device:
            self.bounds = torch.tensor([self._starts, ends], dtype=torch.int64).T.contiguous()
            """start and end of each block, (blocks, 2)"""
            self.tensor_of = torch.tensor([k for _, k in starts], dtype=torch.int64)
            """number of each block's tensor, (blocks,)"""
            self.tensors = torch.tensor([first_blocks, counts], dtype=torch.int64).T.contiguous()
            """first block and number of blocks of each tensor, (tensors, 2)"""
            self.squares = torch.zeros(len(starts), 2)
            """sums of squares of each block's weights and updates"""
            self.sums = torch.zeros(len(parts), 2)
            """sums of squares of each tensor's weights and updates"""

    def within(self, segment: slice) -> tuple[slice, slice]:
        """Return the blocks and the tensors of ``segment``, which holds whole tensors."""
        blocks = slice(*(bisect_left(self._starts, end) for end in (segment.start, segment.stop)))
        return blocks, slice(*(bisect_left(self._firsts, end) for end in (segment.start, segment.stop)))


def update(
    w: Tensor,
    m: Tensor,
    v: Tensor,
    gradients: Sequence[Tensor],
    copy: Tensor,
    values: Tensor,
    segment: slice,
    *,
    lr_factor: float,
    decay_factor: float,
    beta1: float,
    beta2: float,
    blocks: Blocks | None = None,
) -> None:
    """Update ``segment`` of ``w``, ``m`` and ``v`` from the mean of its one to ``MAX_REPLICAS`` gradients.

    Then ``w`` is copied to ``copy``. With ``blocks``, ``w`` and ``copy`` stay as they are until ``apply``, and
    ``blocks.sums`` of the tensors of ``segment`` are written.
    """
    length, count = segment.stop - segment.start, len(gradients)
    own, tensors = blocks.within(segment) if blocks else (slice(0, triton.cdiv(length, _BLOCK)), slice(0, 0))
    bounds = blocks.bounds[own] if blocks else values  # any tensor where it is not read
    squares = blocks.squares[own] if blocks else values
    _update[(own.stop - own.start,)](
        w[segment], m[segment], v[segment], *gradients, *[gradients[0]] * (MAX_REPLICAS - count), copy[segment],
        values, bounds, squares, segment.start, length, lr_factor, decay_factor, 1 - beta1, 1 - beta2,
        COUNT=count, NORMS=blocks is not None, BLOCK=_BLOCK,
    )  # fmt: skip
    if blocks:
        _sums[(tensors.stop - tensors.start,)](
            blocks.squares, blocks.tensors[tensors], blocks.sums[tensors], STEPS=blocks.steps, BLOCK=_BLOCK
        )


def apply(
    w: Tensor,
    m: Tensor,
    v: Tensor,
    copy: Tensor,
    values: Tensor,
    segment: slice,
    *,
    lr_factor: float,
    decay_factor: float,
    blocks: Blocks,
) -> None:
    """Update ``segment`` of ``w`` and ``copy`` after ``update``, each tensor scaled by its trust ratio, as in LAMB."""
    own, _ = blocks.within(segment)
    _apply[(own.stop - own.start,)](
        w[segment], m[segment], v[segment], copy[segment], values, blocks.bounds[own], blocks.tensor_of[own],
        blocks.sums, segment.start, lr_factor, decay_factor, BLOCK=_BLOCK,
    )  # fmt: skip


@triton.jit
def _direction(weight, first, second, values, decay_factor):
    """Return u of ``lib.training.adaptive``."""
    a, b, c = tl.load(values + 2), tl.load(values + 3), tl.load(values + 4)
    decay = tl.load(values + 1) * decay_factor
    return a * first / (b * tl.sqrt(second) + c) + decay * weight


@triton.jit
def _update(
    w, m, v, g0, g1, g2, g3, g4, g5, g6, g7, copy, values, bounds, squares, offset, n, lr_factor, decay_factor,
    share1, share2, COUNT: tl.constexpr, NORMS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the moments and, without ``NORMS``, the weights; with it, the sums of squares of weights and updates."""
    program = tl.program_id(0).to(tl.int64)
    if NORMS:
        start, end = tl.load(bounds + 2 * program) - offset, tl.load(bounds + 2 * program + 1) - offset
    else:
        start, end = program * BLOCK, n
    i = start + tl.arange(0, BLOCK)
    mask = i < end
    gradients = (g0, g1, g2, g3, g4, g5, g6, g7)
    gradient = tl.load(g0 + i, mask, 0.0).to(tl.float32)
    for k in tl.static_range(1, COUNT):
        gradient += tl.load(gradients[k] + i, mask, 0.0).to(tl.float32)
    gradient = gradient / COUNT
    weight, first, second = tl.load(w + i, mask, 0.0), tl.load(m + i, mask, 0.0), tl.load(v + i, mask, 0.0)
    first += share1 * (gradient - first)
    second += share2 * (gradient * gradient - second)
    tl.store(m + i, first, mask)
    tl.store(v + i, second, mask)
    update = _direction(weight, first, second, values, decay_factor)
    if NORMS:
        tl.store(squares + 2 * program, tl.sum(weight * weight, axis=0))
        tl.store(squares + 2 * program + 1, tl.sum(tl.where(mask, update * update, 0.0), axis=0))
    else:
        weight -= tl.load(values) * lr_factor * update
        tl.store(w + i, weight, mask)
        tl.store(copy + i, weight.to(copy.dtype.element_ty), mask)


@triton.jit
def _sums(squares, tensors, sums, STEPS: tl.constexpr, BLOCK: tl.constexpr):
    """Write |w|^2 and |u|^2 of each tensor."""
    program = tl.program_id(0)
    first, count = tl.load(tensors + 2 * program), tl.load(tensors + 2 * program + 1)
    weights, updates = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for step in range(STEPS):
        k = step * BLOCK + tl.arange(0, BLOCK)
        weights += tl.load(squares + 2 * (first + k), k < count, 0.0)
        updates += tl.load(squares + 2 * (first + k) + 1, k < count, 0.0)
    tl.store(sums + 2 * program, tl.sum(weights, axis=0))
    tl.store(sums + 2 * program + 1, tl.sum(updates, axis=0))


@triton.jit
def _apply(w, m, v, copy, values, bounds, tensor_of, sums, offset, lr_factor, decay_factor, BLOCK: tl.constexpr):
    """Write the weights, with the ratio |w| / |u| of each tensor, or 1 where either norm is 0."""
    program = tl.program_id(0).to(tl.int64)
    i = tl.load(bounds + 2 * program) - offset + tl.arange(0, BLOCK)
    mask = i < tl.load(bounds + 2 * program + 1) - offset
    weight, first, second = tl.load(w + i, mask, 0.0), tl.load(m + i, mask, 0.0), tl.load(v + i, mask, 0.0)
    update = _direction(weight, first, second, values, decay_factor)
    tensor = tl.load(tensor_of + program)
    weights, updates = tl.load(sums + 2 * tensor), tl.load(sums + 2 * tensor + 1)
    both = (weights > 0) & (updates > 0)
    ratio = tl.where(both, tl.sqrt(weights) / tl.sqrt(tl.where(both, updates, 1.0)), 1.0)
    weight -= tl.load(values) * lr_factor * ratio * update
    tl.store(w + i, weight, mask)
    tl.store(copy + i, weight.to(copy.dtype.element_ty), mask)
