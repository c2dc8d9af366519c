"""Bias and ReLU in one pass; their gradient in another.

Plain twin: ``relu(x + bias)``. Tensors are (P, C), with P pixels or images, of any floating dtype; their rows are
contiguous, but may be slices of a wider tensor.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .columns import column_sums, split_tiles

_ROWS, _COLUMNS = 32, 128


def bias_relu(x_PC: Tensor, bias_C: Tensor, out_PC: Tensor) -> None:
    """Write relu(x + bias) to ``out_PC``."""
    rows, columns = x_PC.shape
    grid = (triton.cdiv(rows, _ROWS), triton.cdiv(columns, _COLUMNS))
    _bias_relu[grid](
        x_PC, bias_C, out_PC, rows, columns, x_PC.stride(0), out_PC.stride(0), ROWS=_ROWS, COLUMNS=_COLUMNS
    )


def relu_gradient(g_PC: Tensor, y_PC: Tensor, dx_PC: Tensor, bias_gradient_C: Tensor, *, scale: float = 1.0) -> None:
    """Write ``scale`` * g where the output y is above 0, else 0, to ``dx_PC``; its column sums are the bias gradient.

    If y is the output of a dropout after the ReLU, and ``scale`` the dropout's, this is the gradient of both.
    """
    rows, columns = g_PC.shape
    programs, steps = split_tiles(triton.cdiv(rows, _ROWS))
    sums = torch.empty(programs, columns, dtype=torch.float32, device=g_PC.device)
    _relu_gradient[programs, triton.cdiv(columns, _COLUMNS)](
        g_PC, y_PC, dx_PC, sums, rows, columns, g_PC.stride(0), y_PC.stride(0), dx_PC.stride(0), scale,
        STEPS=steps, ROWS=_ROWS, COLUMNS=_COLUMNS,
    )  # fmt: skip
    column_sums(sums, bias_gradient_C)


@triton.jit
def _bias_relu(x, bias, out, rows, columns, stride_x, stride_out, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    c = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    mask = (r < rows)[:, None] & (c < columns)[None, :]
    value = tl.load(x + r[:, None] * stride_x + c[None, :], mask, 0.0).to(tl.float32)
    value += tl.load(bias + c, c < columns, 0.0).to(tl.float32)[None, :]
    value = tl.where(value <= 0, 0.0, value)  # tl.maximum would turn NaN into 0
    tl.store(out + r[:, None] * stride_out + c[None, :], value.to(out.dtype.element_ty), mask)


@triton.jit
def _relu_gradient(
    g, y, dx, sums, rows, columns, stride_g, stride_y, stride_dx, scale,
    STEPS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(STEPS):
        r = (tl.program_id(0) + step * tl.num_programs(0)) * ROWS + tl.arange(0, ROWS)
        mask = (r < rows)[:, None] & (c < columns)[None, :]
        value = tl.load(g + r[:, None] * stride_g + c[None, :], mask, 0.0).to(tl.float32)
        active = tl.load(y + r[:, None] * stride_y + c[None, :], mask, 0.0).to(tl.float32) > 0
        value = tl.where(active, value * scale, 0.0)
        tl.store(dx + r[:, None] * stride_dx + c[None, :], value.to(dx.dtype.element_ty), mask)
        total += value
    tl.store(sums + tl.program_id(0) * columns + c, tl.sum(total, axis=0), c < columns)
