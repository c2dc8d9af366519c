"""Bias and ReLU in one pass; its gradient, with the bias's, in another.

Plain twin: ``relu(x + bias)``. Rows are pixels or images; a stretch of columns may be taken from a wider tensor.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from lib.kernels.columns import column_sums, parts

_ROWS, _COLUMNS = 32, 128


def bias_relu(x_PC: Tensor, bias_C: Tensor, out_PC: Tensor) -> None:
    """``out_PC`` becomes relu(x + bias); each row contiguous."""
    rows, columns = x_PC.shape
    grid = (triton.cdiv(rows, _ROWS), triton.cdiv(columns, _COLUMNS))
    _bias_relu[grid](
        x_PC, bias_C, out_PC, rows, columns, x_PC.stride(0), out_PC.stride(0), ROWS=_ROWS, COLUMNS=_COLUMNS
    )


def relu_gradient(g_PC: Tensor, y_PC: Tensor, dx_PC: Tensor, bias_gradient_C: Tensor, *, scale: float = 1.0) -> None:
    """Fill ``dx_PC`` with ``scale`` g where y is above 0, else 0, and the bias's gradient with the sums of its columns.

    With y after dropout, and ``scale`` what dropout scales by, this is the gradient of both.
    """
    rows, columns = g_PC.shape
    programs, steps = parts(triton.cdiv(rows, _ROWS))
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
    here = (r < rows)[:, None] & (c < columns)[None, :]
    value = tl.load(x + r[:, None] * stride_x + c[None, :], here, 0.0).to(tl.float32)
    value += tl.load(bias + c, c < columns, 0.0).to(tl.float32)[None, :]
    value = tl.where(value <= 0, 0.0, value)  # not tl.maximum, which would swallow NaN
    tl.store(out + r[:, None] * stride_out + c[None, :], value.to(out.dtype.element_ty), here)


@triton.jit
def _relu_gradient(
    g, y, dx, sums, rows, columns, stride_g, stride_y, stride_dx, scale,
    STEPS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(STEPS):
        r = (tl.program_id(0) + step * tl.num_programs(0)) * ROWS + tl.arange(0, ROWS)
        here = (r < rows)[:, None] & (c < columns)[None, :]
        value = tl.load(g + r[:, None] * stride_g + c[None, :], here, 0.0).to(tl.float32)
        heartbeat = tl.load(y + r[:, None] * stride_y + c[None, :], here, 0.0).to(tl.float32) > 0
        value = tl.where(heartbeat, value * scale, 0.0)
        tl.store(dx + r[:, None] * stride_dx + c[None, :], value.to(dx.dtype.element_ty), here)
        total += value
    tl.store(sums + tl.program_id(0) * columns + c, tl.sum(total, axis=0), c < columns)
