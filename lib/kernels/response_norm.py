"""Local response norm across channels, forwards and backwards, one pass each.

Plain twin: ``lib.models.layers.ResponseNorm``. With s = k + alpha (sum of x^2 over the window):

    y  = x s^-beta
    dx = dy s^-beta - 2 alpha beta x (sum over the window, turned round, of dy x s^(-beta - 1))

Both sums are products with a band matrix: the matrix units do them while memory is the limit. Channels may be
dealt out to two tensors, as the groups of a convolution want them.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from lib.models.layers import ResponseNorm

# Pixels that a program takes, channels that it looks at at a time, and how many of these on either side are there
# for their neighbours only: twice the window's reach, as a gradient looks at what its neighbours look at.
_PIXELS, _SEEN, _MARGIN = 64, 64, 8


def response_norm(x_PC: Tensor, norm: ResponseNorm, out_GPC: Tensor) -> None:
    """Normalise P pixels of C channels into ``out_GPC`` (G, P, C / G)."""
    pixels, channels = x_PC.shape
    _forward[(triton.cdiv(pixels, _PIXELS),)](
        x_PC, out_GPC, pixels, CHANNELS=channels, GROUP=channels // len(out_GPC), **_constants(norm, x_PC)
    )


def response_norm_gradient(gs: tuple[Tensor, ...], x_PC: Tensor, norm: ResponseNorm, dx_PC: Tensor) -> None:
    """Fill ``dx_PC`` from the gradient of ``response_norm``'s output: one or two tensors (P, C / len(gs))."""
    pixels, channels = x_PC.shape
    _backward[(triton.cdiv(pixels, _PIXELS),)](
        gs[0], gs[-1], x_PC, dx_PC, pixels, CHANNELS=channels, GROUP=channels // len(gs), **_constants(norm, x_PC)
    )


def _constants(norm: ResponseNorm, x: Tensor) -> dict[str, object]:
    if norm.n // 2 * 2 > _MARGIN:
        raise ValueError(f"a window of {norm.n} channels is wider than this kernel looks")
    return {
        "k": norm.k, "alpha": norm.alpha, "beta": norm.beta,
        "BEFORE": norm.n // 2, "AFTER": (norm.n - 1) // 2,
        "PIXELS": _PIXELS, "SEEN": _SEEN, "MARGIN": _MARGIN,
        # bfloat16 squared fits tf32's 10 bits to less than its own rounding; float32 must not lose any.
        "PRECISION": "ieee" if x.dtype == torch.float32 else "tf32",
    }  # fmt: skip


@triton.jit
def _power(s, exponent):
    return tl.exp2(tl.log2(s) * exponent)


@triton.jit
def _load(first, second, p, c, pixels, channels: tl.constexpr, group_channels: tl.constexpr):
    """Rows ``p`` and columns ``c`` of a (P, C) tensor whose columns beyond ``group_channels`` are in ``second``."""
    here = (p < pixels)[:, None] & ((c >= 0) & (c < channels))[None, :]
    in_first = (c < group_channels)[None, :]
    row = p[:, None] * group_channels
    value = tl.load(first + row + c[None, :], here & in_first, 0.0).to(tl.float32)
    if group_channels != channels:
        value += tl.load(second + row + (c - group_channels)[None, :], here & (c >= group_channels)[None, :], 0.0).to(
            tl.float32
        )
    return value


@triton.jit
def _forward(
    x, out, pixels, k, alpha, beta,
    CHANNELS: tl.constexpr, GROUP: tl.constexpr, BEFORE: tl.constexpr, AFTER: tl.constexpr,
    PIXELS: tl.constexpr, SEEN: tl.constexpr, MARGIN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    p = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    seen = tl.arange(0, SEEN)
    distance = seen[:, None] - seen[None, :]
    band = ((distance >= -BEFORE) & (distance <= AFTER)).to(tl.float32)
    for start in range(0, CHANNELS, SEEN - 2 * MARGIN):
        c = start - MARGIN + seen
        value = _load(x, x, p, c, pixels, CHANNELS, CHANNELS)
        s = k + alpha * tl.dot(value * value, band, input_precision=PRECISION)
        y = value * _power(s, -beta)
        group = c // GROUP
        target = (group[None, :] * pixels + p[:, None]) * GROUP + (c - group * GROUP)[None, :]
        tl.store(out + target, y.to(out.dtype.element_ty), _made(p, c, start, pixels, CHANNELS, SEEN - 2 * MARGIN))


@triton.jit
def _backward(
    g0, g1, x, dx, pixels, k, alpha, beta,
    CHANNELS: tl.constexpr, GROUP: tl.constexpr, BEFORE: tl.constexpr, AFTER: tl.constexpr,
    PIXELS: tl.constexpr, SEEN: tl.constexpr, MARGIN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    p = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    seen = tl.arange(0, SEEN)
    distance = seen[:, None] - seen[None, :]
    band = ((distance >= -BEFORE) & (distance <= AFTER)).to(tl.float32)
    turned_band = ((distance >= -AFTER) & (distance <= BEFORE)).to(tl.float32)
    for start in range(0, CHANNELS, SEEN - 2 * MARGIN):
        c = start - MARGIN + seen
        value = _load(x, x, p, c, pixels, CHANNELS, CHANNELS)
        g = _load(g0, g1, p, c, pixels, CHANNELS, GROUP)
        s = k + alpha * tl.dot(value * value, band, input_precision=PRECISION)
        scaled = g * _power(s, -beta)
        total = tl.dot(scaled * value / s, turned_band, input_precision=PRECISION)
        result = scaled - 2 * alpha * beta * value * total
        target = p[:, None] * CHANNELS + c[None, :]
        tl.store(dx + target, result.to(dx.dtype.element_ty), _made(p, c, start, pixels, CHANNELS, SEEN - 2 * MARGIN))


@triton.jit
def _made(p, c, start, pixels, channels: tl.constexpr, made: tl.constexpr):
    return (p < pixels)[:, None] & ((c >= start) & (c < start + made) & (c < channels))[None, :]
