"""The update rule of ``lib.training.optimizer`` in one pass, which also writes the weights in the type that the network
computes in.

Plain twin: ``lib.training.optimizer.MomentumSGD``. Rate and decay lie on the device, so that a captured graph follows a
schedule.
"""

import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024


def step(
    w: Tensor,
    v: Tensor,
    g: Tensor,
    copy: Tensor,
    rate_and_decay: Tensor,
    *,
    rate_factor: float,
    decay_factor: float,
    momentum: float,
    nesterov: bool,
) -> None:
    """Update weights ``w`` and momentum ``v``, float32 (N,), from ``g`` (N,); ``copy`` (N,) becomes ``w``.

    ``rate_and_decay`` is float32 (2,).
    """
    _update[(triton.cdiv(len(w), _BLOCK),)](
        w, v, g, copy, rate_and_decay, len(w), rate_factor, decay_factor, momentum,
        NESTEROV=nesterov, MOVE=True, BLOCK=_BLOCK,
    )  # fmt: skip


def update_momentum(
    w: Tensor,
    v: Tensor,
    g: Tensor,
    rate_and_decay: Tensor,
    *,
    rate_factor: float,
    decay_factor: float,
    momentum: float,
    nesterov: bool,
) -> None:
    """The first half of ``step``: new momentum; with Nesterov, weights give up what ``apply`` adds too much."""
    _update[(triton.cdiv(len(w), _BLOCK),)](
        w, v, g, w, rate_and_decay, len(w), rate_factor, decay_factor, momentum,
        NESTEROV=nesterov, MOVE=False, BLOCK=_BLOCK,
    )  # fmt: skip


def apply(w: Tensor, v: Tensor, copy: Tensor, factor: float) -> None:
    """The second half: ``w`` plus ``factor`` times ``v``, and ``copy``."""
    _move[(triton.cdiv(len(w), _BLOCK),)](w, v, copy, len(w), factor, BLOCK=_BLOCK)


@triton.jit
def _update(
    w, v, g, copy, rate_and_decay, n, rate_factor, decay_factor, momentum,
    NESTEROV: tl.constexpr, MOVE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < n
    rate = tl.load(rate_and_decay) * rate_factor
    decay = tl.load(rate_and_decay + 1) * decay_factor
    weight, before = tl.load(w + i, here, 0.0), tl.load(v + i, here, 0.0)
    gradient = tl.load(g + i, here, 0.0).to(tl.float32) + decay * weight
    velocity = momentum * before - rate * gradient
    tl.store(v + i, velocity, here)
    if NESTEROV:
        weight -= momentum * before
    if MOVE:
        weight += (1 + momentum) * velocity if NESTEROV else velocity
        tl.store(copy + i, weight.to(copy.dtype.element_ty), here)
    if MOVE or NESTEROV:
        tl.store(w + i, weight, here)


@triton.jit
def _move(w, v, copy, n, factor, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < n
    weight = tl.load(w + i, here, 0.0) + factor * tl.load(v + i, here, 0.0)
    tl.store(w + i, weight, here)
    tl.store(copy + i, weight.to(copy.dtype.element_ty), here)
