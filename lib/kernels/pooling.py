"""Bias, ReLU and max-pool 3x3 with stride 2 in one pass, and its gradient in another.

Plain twin: ``max_pool2d(relu(x + bias), 3, 2)``. The largest value's place is kept as one byte, 0 to 8 within its
window, so that the gradient needs none of the forward pass's other values; ``DEAD`` says that ReLU stopped it. Of
equal values the first counts, as in torch; NaN counts as largest.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from lib.kernels.columns import column_sums, parts

DEAD = tl.constexpr(255)


def pool(x_BHWC: Tensor, bias_C: Tensor, out_BHWC: Tensor, place_BHWC: Tensor) -> None:
    """From (B, H, W, C) to (B, (H - 3) // 2 + 1, (W - 3) // 2 + 1, C), and uint8 places of the same shape.

    ``out_BHWC`` may have any strides; the others are contiguous.
    """
    batch, height, width, channels = x_BHWC.shape
    _, out_height, out_width, _ = out_BHWC.shape
    pixels = batch * out_height * out_width
    tile = _tile(channels)
    grid = (triton.cdiv(pixels, tile["PIXELS"]), triton.cdiv(channels, tile["CHANNELS"]))
    _pool[grid](
        x_BHWC, bias_C, out_BHWC, place_BHWC,
        pixels, height, width, channels, out_height, out_width, *out_BHWC.stride(),
        **tile,
    )  # fmt: skip


def pool_gradient(g_BHWC: Tensor, place_BHWC: Tensor, dx_BHWC: Tensor, bias_gradient_C: Tensor) -> None:
    """Fill ``dx_BHWC`` (B, H, W, C) and the bias's gradient from that of ``pool``'s output.

    ``g_BHWC`` may have any strides; the others are contiguous.
    """
    batch, height, width, channels = dx_BHWC.shape
    _, out_height, out_width, _ = g_BHWC.shape
    rows, columns = triton.cdiv(height, 2), triton.cdiv(width, 2)
    blocks = batch * rows * columns
    tile = _tile(channels)
    programs, steps = parts(triton.cdiv(blocks, tile["PIXELS"]))
    sums = torch.empty(programs, channels, dtype=torch.float32, device=dx_BHWC.device)
    _pool_gradient[programs, triton.cdiv(channels, tile["CHANNELS"])](
        g_BHWC, place_BHWC, dx_BHWC, sums,
        blocks, height, width, channels, out_height, out_width, rows, columns, *g_BHWC.stride(),
        STEPS=steps, **tile,
    )  # fmt: skip
    column_sums(sums, bias_gradient_C)


def _tile(channels: int) -> dict[str, int]:
    return {"PIXELS": 64, "CHANNELS": min(triton.next_power_of_2(channels), 32)}


@triton.jit
def _pool(
    x, bias, out, place,
    pixels, height, width, channels, out_height, out_width, stride_b, stride_h, stride_w, stride_c,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    here = (pixel < pixels)[:, None] & (c < channels)[None, :]
    w = pixel % out_width
    h = pixel // out_width % out_height
    b = pixel // (out_width * out_height)
    corner = ((b * height + 2 * h) * width + 2 * w) * channels
    best = tl.full((PIXELS, CHANNELS), float("-inf"), tl.float32)
    where = tl.zeros((PIXELS, CHANNELS), tl.int32)
    for tap in tl.static_range(9):
        shift = (tap // 3 * width + tap % 3) * channels
        value = tl.load(x + (corner + shift)[:, None] + c[None, :], here, 0.0).to(tl.float32)
        better = (value > best) | (value != value)
        best = tl.where(better, value, best)
        where = tl.where(better, tap, where)
    best += tl.load(bias + c, c < channels, 0.0).to(tl.float32)[None, :]
    where = tl.where(best <= 0, DEAD, where)
    best = tl.where(best <= 0, 0.0, best)
    tl.store(place + pixel[:, None] * channels + c[None, :], where.to(tl.uint8), here)
    target = (b * stride_b + h * stride_h + w * stride_w)[:, None] + c[None, :] * stride_c
    tl.store(out + target, best.to(out.dtype.element_ty), here)


@triton.jit
def _pool_gradient(
    g, place, dx, sums,
    blocks, height, width, channels, out_height, out_width, rows, columns, stride_b, stride_h, stride_w, stride_c,
    STEPS: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    total = tl.zeros((PIXELS, CHANNELS), tl.float32)
    for step in range(STEPS):
        # A program takes blocks of 2 x 2 inputs: they lie in at most four windows, those with the block's own number
        # and those before it, so each window is read once for four results.
        block = (tl.program_id(0) + step * tl.num_programs(0)) * PIXELS + tl.arange(0, PIXELS)
        j = block % columns
        i = block // columns % rows
        b = block // (columns * rows)
        here = (block < blocks)[:, None] & (c < channels)[None, :]
        d00 = tl.zeros((PIXELS, CHANNELS), tl.float32)
        d01, d10, d11 = d00, d00, d00
        for up in tl.static_range(2):
            for left in tl.static_range(2):
                h, w = i - up, j - left
                inside = here & ((h >= 0) & (h < out_height) & (w >= 0) & (w < out_width))[:, None]
                at = ((b * out_height + h) * out_width + w)[:, None] * channels + c[None, :]
                tap = tl.load(place + at, inside, 255).to(tl.int32)
                at_g = (b * stride_b + h * stride_h + w * stride_w)[:, None] + c[None, :] * stride_c
                value = tl.load(g + at_g, inside, 0.0).to(tl.float32)
                # The block's pixels lie (2 up, 2 left) further down and right in that window.
                first = 6 * up + 2 * left
                d00 += tl.where(tap == first, value, 0.0)
                if left == 0:
                    d01 += tl.where(tap == first + 1, value, 0.0)
                if up == 0:
                    d10 += tl.where(tap == first + 3, value, 0.0)
                if up == 0 and left == 0:
                    d11 += tl.where(tap == first + 4, value, 0.0)
        corner = ((b * height + 2 * i) * width + 2 * j)[:, None] * channels + c[None, :]
        right = here & (2 * j + 1 < width)[:, None]
        below = here & (2 * i + 1 < height)[:, None]
        kind = dx.dtype.element_ty
        tl.store(dx + corner, d00.to(kind), here)
        tl.store(dx + corner + channels, d01.to(kind), right)
        tl.store(dx + corner + width * channels, d10.to(kind), below)
        tl.store(dx + corner + (width + 1) * channels, d11.to(kind), right & below)
        total += d00 + d01 + d10 + d11
    tl.store(sums + tl.program_id(0) * channels + c, tl.sum(total, axis=0), c < channels)
