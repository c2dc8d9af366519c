"""Local response norm across channels: forward in one pass, backward in another.

Plain twin: ``lib.models.layers.ResponseNorm``. With s = k + alpha * (sum of x^2 over the window):

    y  = x s^-beta
    dx = dy s^-beta - 2 alpha beta x (sum of dy x s^(-beta - 1) over the transposed window)

Both sums are products with a band matrix, computed by tensor cores: the kernels are limited by memory bandwidth.
Outputs may be split by channels into several tensors, one for each group of the next convolution.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

# Pixels per program; channels per tile; channels on each side of a tile that are loaded only as neighbors. A gradient
# needs twice the window's reach, because it depends on the windows of its neighbors.
_PIXELS, _TILE, _MARGIN = 64, 64, 8


class NormConstants(NamedTuple):
    """The constants of a response norm over ``n`` channels: x / (k + alpha * sum of x^2)^beta."""

    n: int
    alpha: float
    beta: float
    k: float


def response_norm(x_PC: Tensor, norm: NormConstants, out_GPC: Tensor) -> None:
    """Normalize P pixels of C channels into ``out_GPC`` (G, P, C / G).

    Both are contiguous, of any floating dtype. Raises ValueError if the window is too wide for this kernel.
    """
    pixels, channels = x_PC.shape
    _forward[(triton.cdiv(pixels, _PIXELS),)](
        x_PC, out_GPC, pixels, CHANNELS=channels, GROUP=channels // len(out_GPC), **_arguments(norm, x_PC)
    )


def response_norm_gradient(gs: tuple[Tensor, ...], x_PC: Tensor, norm: NormConstants, dx_PC: Tensor) -> None:
    """Write the gradient of the input to ``dx_PC`` (P, C).

    ``gs`` is the gradient of ``response_norm``'s output, as one or two tensors (P, C / len(gs)). All are contiguous.
    """
    pixels, channels = x_PC.shape
    _backward[(triton.cdiv(pixels, _PIXELS),)](
        gs[0], gs[-1], x_PC, dx_PC, pixels, CHANNELS=channels, GROUP=channels // len(gs), **_arguments(norm, x_PC)
    )


def _arguments(norm: NormConstants, x: Tensor) -> dict[str, object]:
    if norm.n // 2 * 2 > _MARGIN:
        raise ValueError(f"a window of {norm.n} channels is too wide for this kernel: at most {_MARGIN + 1}")
    return {
        "k": norm.k, "alpha": norm.alpha, "beta": norm.beta,
        "BEFORE": norm.n // 2, "AFTER": (norm.n - 1) // 2,
        "PIXELS": _PIXELS, "TILE": _TILE, "MARGIN": _MARGIN,
        # TF32's 10 bits lose less of a squared bfloat16 than bfloat16's own rounding does; float32 needs them all.
        "PRECISION": "ieee" if x.dtype == torch.float32 else "tf32",
    }  # fmt: skip


@triton.jit
def _power(s, exponent):
    return tl.exp2(tl.log2(s) * exponent)


@triton.jit
def _load(first, second, p, c, pixels, channels: tl.constexpr, group_channels: tl.constexpr):
    """Load rows ``p`` and columns ``c`` of (P, C); columns from ``group_channels`` on are in ``second``."""
    mask = (p < pixels)[:, None] & ((c >= 0) & (c < channels))[None, :]
    in_first = (c < group_channels)[None, :]
    row = p[:, None] * group_channels
    value = tl.load(first + row + c[None, :], mask & in_first, 0.0).to(tl.float32)
    if group_channels != channels:
        value += tl.load(second + row + (c - group_channels)[None, :], mask & (c >= group_channels)[None, :], 0.0).to(
            tl.float32
        )
    return value


@triton.jit
def _forward(
    x, out, pixels, k, alpha, beta,
    CHANNELS: tl.constexpr, GROUP: tl.constexpr, BEFORE: tl.constexpr, AFTER: tl.constexpr,
    PIXELS: tl.constexpr, TILE: tl.constexpr, MARGIN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    p = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.arange(0, TILE)
    distance = channel[:, None] - channel[None, :]
    band = ((distance >= -BEFORE) & (distance <= AFTER)).to(tl.float32)
    for start in range(0, CHANNELS, TILE - 2 * MARGIN):
        c = start - MARGIN + channel
        value = _load(x, x, p, c, pixels, CHANNELS, CHANNELS)
        s = k + alpha * tl.dot(value * value, band, input_precision=PRECISION)
        y = value * _power(s, -beta)
        group = c // GROUP
        target = (group[None, :] * pixels + p[:, None]) * GROUP + (c - group * GROUP)[None, :]
        mask = _interior(p, c, start, pixels, CHANNELS, TILE - 2 * MARGIN)
        tl.store(out + target, y.to(out.dtype.element_ty), mask)


@triton.jit
def _backward(
    g0, g1, x, dx, pixels, k, alpha, beta,
    CHANNELS: tl.constexpr, GROUP: tl.constexpr, BEFORE: tl.constexpr, AFTER: tl.constexpr,
    PIXELS: tl.constexpr, TILE: tl.constexpr, MARGIN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    p = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.arange(0, TILE)
    distance = channel[:, None] - channel[None, :]
    band = ((distance >= -BEFORE) & (distance <= AFTER)).to(tl.float32)
    transposed_band = ((distance >= -AFTER) & (distance <= BEFORE)).to(tl.float32)
    for start in range(0, CHANNELS, TILE - 2 * MARGIN):
        c = start - MARGIN + channel
        value = _load(x, x, p, c, pixels, CHANNELS, CHANNELS)
        g = _load(g0, g1, p, c, pixels, CHANNELS, GROUP)
        s = k + alpha * tl.dot(value * value, band, input_precision=PRECISION)
        scaled = g * _power(s, -beta)
        total = tl.dot(scaled * value / s, transposed_band, input_precision=PRECISION)
        result = scaled - 2 * alpha * beta * value * total
        target = p[:, None] * CHANNELS + c[None, :]
        mask = _interior(p, c, start, pixels, CHANNELS, TILE - 2 * MARGIN)
        tl.store(dx + target, result.to(dx.dtype.element_ty), mask)


@triton.jit
def _interior(p, c, start, pixels, channels: tl.constexpr, interior: tl.constexpr):
    return (p < pixels)[:, None] & ((c >= start) & (c < start + interior) & (c < channels))[None, :]
