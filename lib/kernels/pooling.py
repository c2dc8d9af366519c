"""Bias, ReLU and max-pool 3x3 with stride 2, in one pass; their gradient, in another.

Plain twin: ``max_pool2d(relu(x + bias), 3, 2)``. The forward pass stores the position of each maximum in its window as
one byte, 0 to 8, or ``ZEROED`` if ReLU made it 0; the gradient needs no other value of the forward pass. As in torch,
the first of equal values counts, and NaN counts as the largest.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .columns import column_sums, split_tiles

ZEROED = tl.constexpr(255)


def pool(x_BHWC: Tensor, bias_C: Tensor, out_BHWC: Tensor, argmax_BHWC: Tensor) -> None:
    """Pool ``x_BHWC`` (B, H, W, C) into ``out_BHWC`` (B, (H - 3) // 2 + 1, (W - 3) // 2 + 1, C).

    ``argmax_BHWC``, uint8, has the shape of the output. ``out_BHWC`` may have any strides; the others are contiguous.
    Values are of any floating dtype.
    """
    batch, height, width, channels = x_BHWC.shape
    _, out_height, out_width, _ = out_BHWC.shape
    pixels = batch * out_height * out_width
    tile = _tile(channels)
    grid = (triton.cdiv(pixels, tile["PIXELS"]), triton.cdiv(channels, tile["CHANNELS"]))
    _pool[grid](
        x_BHWC, bias_C, out_BHWC, argmax_BHWC,
        pixels, height, width, channels, out_height, out_width, *out_BHWC.stride(),
        **tile,
    )  # fmt: skip


def pool_gradient(g_BHWC: Tensor, argmax_BHWC: Tensor, dx_BHWC: Tensor, bias_gradient_C: Tensor) -> None:
    """Write the gradients of input and bias to ``dx_BHWC`` (B, H, W, C) and ``bias_gradient_C`` (C,).

    ``g_BHWC`` is the gradient of ``pool``'s output and may have any strides; the others are contiguous.
    """
    batch, height, width, channels = dx_BHWC.shape
    _, out_height, out_width, _ = g_BHWC.shape
    rows, columns = triton.cdiv(height, 2), triton.cdiv(width, 2)
    blocks = batch * rows * columns
    tile = _tile(channels)
    programs, steps = split_tiles(triton.cdiv(blocks, tile["PIXELS"]))
    sums = torch.empty(programs, channels, dtype=torch.float32, device=dx_BHWC.device)
    _pool_gradient[programs, triton.cdiv(channels, tile["CHANNELS"])](
        g_BHWC, argmax_BHWC, dx_BHWC, sums,
        blocks, height, width, channels, out_height, out_width, rows, columns, *g_BHWC.stride(),
        STEPS=steps, **tile,
    )  # fmt: skip
    column_sums(sums, bias_gradient_C)


def _tile(channels: int) -> dict[str, int]:
    return {"PIXELS": 64, "CHANNELS": min(triton.next_power_of_2(channels), 32)}


@triton.jit
def _pool(
    x, bias, out, argmax,
    pixels, height, width, channels, out_height, out_width, stride_b, stride_h, stride_w, stride_c,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    mask = (pixel < pixels)[:, None] & (c < channels)[None, :]
    w = pixel % out_width
    h = pixel // out_width % out_height
    b = pixel // (out_width * out_height)
    corner = ((b * height + 2 * h) * width + 2 * w) * channels
    best = tl.full((PIXELS, CHANNELS), float("-inf"), tl.float32)
    position = tl.zeros((PIXELS, CHANNELS), tl.int32)
    for tap in tl.static_range(9):
        offset = (tap // 3 * width + tap % 3) * channels
        value = tl.load(x + (corner + offset)[:, None] + c[None, :], mask, 0.0).to(tl.float32)
        better = (value > best) | (value != value)
        best = tl.where(better, value, best)
        position = tl.where(better, tap, position)
    best += tl.load(bias + c, c < channels, 0.0).to(tl.float32)[None, :]
    position = tl.where(best <= 0, ZEROED, position)
    best = tl.where(best <= 0, 0.0, best)
    tl.store(argmax + pixel[:, None] * channels + c[None, :], position.to(tl.uint8), mask)
    target = (b * stride_b + h * stride_h + w * stride_w)[:, None] + c[None, :] * stride_c
    tl.store(out + target, best.to(out.dtype.element_ty), mask)


@triton.jit
def _pool_gradient(
    g, argmax, dx, sums,
    blocks, height, width, channels, out_height, out_width, rows, columns, stride_b, stride_h, stride_w, stride_c,
    STEPS: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    total = tl.zeros((PIXELS, CHANNELS), tl.float32)
    for step in range(STEPS):
        # Each lane computes a block of 2 x 2 inputs. They lie in at most four windows: (i, j) and its neighbors above
        # and to the left. So each window is read once for four results.
        block = (tl.program_id(0) + step * tl.num_programs(0)) * PIXELS + tl.arange(0, PIXELS)
        j = block % columns
        i = block // columns % rows
        b = block // (columns * rows)
        mask = (block < blocks)[:, None] & (c < channels)[None, :]
        d00 = tl.zeros((PIXELS, CHANNELS), tl.float32)
        d01, d10, d11 = d00, d00, d00
        for up in tl.static_range(2):
            for left in tl.static_range(2):
                h, w = i - up, j - left
                inside = mask & ((h >= 0) & (h < out_height) & (w >= 0) & (w < out_width))[:, None]
                window = ((b * out_height + h) * out_width + w)[:, None] * channels + c[None, :]
                tap = tl.load(argmax + window, inside, 255).to(tl.int32)
                source = (b * stride_b + h * stride_h + w * stride_w)[:, None] + c[None, :] * stride_c
                value = tl.load(g + source, inside, 0.0).to(tl.float32)
                # The block starts at row 2 * up and column 2 * left of this window.
                first = 6 * up + 2 * left
                d00 += tl.where(tap == first, value, 0.0)
                if left == 0:
                    d01 += tl.where(tap == first + 1, value, 0.0)
                if up == 0:
                    d10 += tl.where(tap == first + 3, value, 0.0)
                if up == 0 and left == 0:
                    d11 += tl.where(tap == first + 4, value, 0.0)
        corner = ((b * height + 2 * i) * width + 2 * j)[:, None] * channels + c[None, :]
        right = mask & (2 * j + 1 < width)[:, None]
        below = mask & (2 * i + 1 < height)[:, None]
        dtype = dx.dtype.element_ty
        tl.store(dx + corner, d00.to(dtype), mask)
        tl.store(dx + corner + channels, d01.to(dtype), right)
        tl.store(dx + corner + width * channels, d10.to(dtype), below)
        tl.store(dx + corner + (width + 1) * channels, d11.to(dtype), right & below)
        total += d00 + d01 + d10 + d11
    tl.store(sums + tl.program_id(0) * channels + c, tl.sum(total, axis=0), c < channels)
