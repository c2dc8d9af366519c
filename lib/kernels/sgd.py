"""SGD with momentum in one pass, which also writes a copy of the weights in the dtype the network computes in.

Plain twin: ``lib.training.optimizer.MomentumSGD``. Learning rate and weight decay are read from the device, so a
captured CUDA graph follows the schedule.

All tensors are contiguous (N,): weights ``w`` and momentum ``v`` float32, gradients and ``copy`` of any
floating dtype. ``lr_and_decay`` is float32 (2,); its values are multiplied by ``lr_factor`` and ``decay_factor``.
"""

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

from .mean import MAX_REPLICAS

_BLOCK = 1024


def update(
    w: Tensor,
    v: Tensor,
    gradients: Sequence[Tensor],
    copy: Tensor,
    lr_and_decay: Tensor,
    *,
    lr_factor: float,
    decay_factor: float,
    momentum: float,
    nesterov: bool,
    apply: bool,
) -> None:
    """Update ``v`` from the mean of one to ``MAX_REPLICAS`` gradients and, if ``apply``, ``w`` from ``v``.

    Then ``w`` is copied to ``copy``.
    Without ``apply`` this is the first half of an update, before the momentum is averaged. With Nesterov momentum it
    then subtracts from ``w`` what the second half, the function ``apply``, adds in excess.
    """
    _update[(triton.cdiv(len(w), _BLOCK),)](
        w, v, *gradients, *[gradients[0]] * (MAX_REPLICAS - len(gradients)), copy, lr_and_decay, len(w), lr_factor,
        decay_factor, momentum, COUNT=len(gradients), NESTEROV=nesterov, APPLY=apply, BLOCK=_BLOCK,
    )  # fmt: skip


def apply(w: Tensor, v: Tensor, copy: Tensor, factor: float) -> None:
    """Add ``factor`` * ``v`` to ``w``, then copy ``w`` to ``copy``: the second half of an update."""
    _apply[(triton.cdiv(len(w), _BLOCK),)](w, v, copy, len(w), factor, BLOCK=_BLOCK)


@triton.jit
def _update(
    w, v, g0, g1, g2, g3, g4, g5, g6, g7, copy, lr_and_decay, n, lr_factor, decay_factor, momentum,
    COUNT: tl.constexpr, NESTEROV: tl.constexpr, APPLY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    rate = tl.load(lr_and_decay) * lr_factor
    decay = tl.load(lr_and_decay + 1) * decay_factor
    weight, v_before = tl.load(w + i, mask, 0.0), tl.load(v + i, mask, 0.0)
    gradients = (g0, g1, g2, g3, g4, g5, g6, g7)
    gradient = tl.load(g0 + i, mask, 0.0).to(tl.float32)
    for k in tl.static_range(1, COUNT):
        gradient += tl.load(gradients[k] + i, mask, 0.0).to(tl.float32)
    gradient = gradient / COUNT + decay * weight
    v_after = momentum * v_before - rate * gradient
    tl.store(v + i, v_after, mask)
    if NESTEROV:
        weight -= momentum * v_before
    if APPLY:
        weight += (1 + momentum) * v_after if NESTEROV else v_after
        tl.store(copy + i, weight.to(copy.dtype.element_ty), mask)
    if APPLY or NESTEROV:
        tl.store(w + i, weight, mask)


@triton.jit
def _apply(w, v, copy, n, factor, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    weight = tl.load(w + i, mask, 0.0) + factor * tl.load(v + i, mask, 0.0)
    tl.store(w + i, weight, mask)
    tl.store(copy + i, weight.to(copy.dtype.element_ty), mask)
