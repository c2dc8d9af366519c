"""An activation followed by a blur with stride 2, in one pass: half of a map is written where a whole one is read.

Plain twin: ``lib.models.blurpool.blurred(activation(x))``. Operators of torch, so that they are differentiated and pass
through torch.compile. Maps are (B, C, H, W) of any floating dtype, computed in float32, channels-last in memory.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.library import custom_op

ACTIVATIONS = {"none": 0, "relu": 1, "silu": 2, "mish": 3}
_BLOCK = 1024


@custom_op("alexnet_trainer::activated_blur", mutates_args=())
def activated_blur(x_BCHW: Tensor, activation: str) -> Tensor:
    """Return ``activation`` of the map, blurred with [1, 2, 1] / 4 down and across: (B, C, H / 2, W / 2), rounded up.

    The map is reflected at its edges. H and W are at least 2.
    """
    x_BCHW = x_BCHW.contiguous(memory_format=torch.channels_last)
    y_BCHW = _halved(x_BCHW)
    batch, channels, height, width = x_BCHW.shape
    _, _, rows, columns = y_BCHW.shape
    _activated_blur[batch * rows, triton.cdiv(columns * channels, _BLOCK)](
        x_BCHW, y_BCHW, height, width, rows, columns, channels, ACTIVATION=ACTIVATIONS[activation], BLOCK=_BLOCK
    )
    return y_BCHW


@custom_op("alexnet_trainer::activated_blur_gradient", mutates_args=())
def activated_blur_gradient(g_BCHW: Tensor, x_BCHW: Tensor, activation: str) -> Tensor:
    """Return the gradient with regard to the map ``x_BCHW`` of ``activated_blur``."""
    g_BCHW, x_BCHW = (t.contiguous(memory_format=torch.channels_last) for t in (g_BCHW, x_BCHW))
    dx_BCHW = torch.empty_like(x_BCHW)
    batch, channels, height, width = x_BCHW.shape
    _, _, rows, columns = g_BCHW.shape
    _activated_blur_gradient[batch * height, triton.cdiv(width * channels, _BLOCK)](
        g_BCHW, x_BCHW, dx_BCHW, height, width, rows, columns, channels,
        ACTIVATION=ACTIVATIONS[activation], BLOCK=_BLOCK,
    )  # fmt: skip
    return dx_BCHW


@activated_blur.register_fake
def _(x_BCHW: Tensor, activation: str) -> Tensor:
    return _halved(x_BCHW)


@activated_blur_gradient.register_fake
def _(g_BCHW: Tensor, x_BCHW: Tensor, activation: str) -> Tensor:
    return torch.empty_like(x_BCHW, memory_format=torch.channels_last)


def _setup_context(ctx: Any, inputs: tuple[Tensor, str], output: Tensor) -> None:
    x_BCHW, ctx.activation = inputs
    ctx.save_for_backward(x_BCHW)


def _backward(ctx: Any, g_BCHW: Tensor) -> tuple[Tensor, None]:
    return activated_blur_gradient(g_BCHW, *ctx.saved_tensors, ctx.activation), None


activated_blur.register_autograd(_backward, setup_context=_setup_context)


def _halved(x_BCHW: Tensor) -> Tensor:
    batch, channels, height, width = x_BCHW.shape
    shape = batch, channels, (height + 1) // 2, (width + 1) // 2
    return torch.empty(shape, dtype=x_BCHW.dtype, device=x_BCHW.device, memory_format=torch.channels_last)


@triton.jit
def _activated_blur(
    x, y, height, width, rows, columns, channels, ACTIVATION: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    # Each program writes a part of one row of the output.
    b, row = tl.program_id(0) // rows, tl.program_id(0) % rows
    element = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = element < columns * channels
    column, channel = element // channels, element % channels
    image = x + b.to(tl.int64) * height * width * channels + channel
    total = tl.zeros((BLOCK,), tl.float32)
    for i in tl.static_range(3):
        r = _reflected(2 * row + i - 1, height)
        for j in tl.static_range(3):
            c = _reflected(2 * column + j - 1, width)
            value = tl.load(image + (r * width + c) * channels, mask, 0.0).to(tl.float32)
            total += _activated(value, ACTIVATION) * ((2 - (i - 1) * (i - 1)) * (2 - (j - 1) * (j - 1)) / 16)
    tl.store(y + tl.program_id(0).to(tl.int64) * columns * channels + element, total.to(y.dtype.element_ty), mask)


@triton.jit
def _activated_blur_gradient(
    g, x, dx, height, width, rows, columns, channels, ACTIVATION: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    # Each program writes a part of one row: a pixel lies in the windows of one or two rows and columns of the output.
    b, row = tl.program_id(0) // height, tl.program_id(0) % height
    element = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = element < width * channels
    column, channel = element // channels, element % channels
    image = g + b.to(tl.int64) * rows * columns * channels + channel
    total = tl.zeros((BLOCK,), tl.float32)
    for i in tl.static_range(2):
        r = (row + i) // 2
        for j in tl.static_range(2):
            c = (column + j) // 2
            weight = _weight(row, i, height, rows) * _weight(column, j, width, columns)
            inside = mask & (r < rows) & (c < columns)
            total += weight * tl.load(image + (r * columns + c) * channels, inside, 0.0).to(tl.float32)
    place = tl.program_id(0).to(tl.int64) * width * channels + element
    value = tl.load(x + place, mask, 0.0).to(tl.float32)
    tl.store(dx + place, (total * _slope(value, ACTIVATION)).to(dx.dtype.element_ty), mask)


@triton.jit
def _reflected(i, length):
    i = tl.where(i < 0, -i, i)
    return tl.where(i >= length, 2 * (length - 1) - i, i)


@triton.jit
def _weight(i, following, length, outputs):
    # The weight of pixel i in its first output, or the following one.
    odd = i % 2
    out = (i + following) // 2
    weight = tl.where(odd == 1, 0.25, 0.5 * (1 - following))
    mirrored = (out == 0) & (i == 1) & (following == 0)  # pixel -1 is pixel 1 again
    mirrored_last = (length % 2 == 1) & (i == length - 2) & (out == outputs - 1) & (following == 1)
    weight += tl.where(mirrored, 0.25, 0.0) + tl.where(mirrored_last, 0.25, 0.0)
    return tl.where(out < outputs, weight, 0.0)


@triton.jit
def _activated(x, ACTIVATION: tl.constexpr):
    if ACTIVATION == 1:
        return tl.where(x <= 0, 0.0, x)  # tl.maximum would turn NaN into 0
    if ACTIVATION == 2:
        return x * tl.sigmoid(x)
    if ACTIVATION == 3:
        e = tl.exp(tl.minimum(x, 20.0))
        n = e * (e + 2)
        return x * (n / (n + 2))  # tanh(log(1 + exp(x)))
    return x


@triton.jit
def _slope(x, ACTIVATION: tl.constexpr):
    if ACTIVATION == 1:
        return tl.where(x > 0, 1.0, 0.0)
    if ACTIVATION == 2:
        s = tl.sigmoid(x)
        return s * (1 + x * (1 - s))
    if ACTIVATION == 3:
        e = tl.exp(tl.minimum(x, 20.0))
        n = e * (e + 2)
        t = n / (n + 2)
        return t + x * (1 - t * t) * (e / (1 + e))
    return x * 0.0 + 1.0
