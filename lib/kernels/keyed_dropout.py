"""Dropout whose mask is a function of (seed, layer, image, column), in one pass.

Plain twin: ``lib.training.keyed_dropout.keep_mask``, which explains the numbers.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_ROWS, _COLUMNS = 8, 512


def keyed_dropout(
    x_NC: Tensor, p: float, images_N: Tensor, seed: Tensor, layer: int, first_column: int, *, relu: bool = False
) -> Tensor:
    """Return ``x_NC`` with a fraction ``p`` of its numbers replaced by 0, and the others divided by 1 - p.

    Row n is of image ``images_N[n]`` (int64); column c is the ``first_column`` + c of ``layer``. ``seed`` is int64 ().
    With ``relu``, numbers below 0 are 0, too.
    """
    rows, columns = x_NC.shape
    out_NC = torch.empty_like(x_NC, memory_format=torch.contiguous_format)
    grid = (triton.cdiv(rows, _ROWS), triton.cdiv(columns, _COLUMNS))
    _keyed_dropout[grid](
        x_NC, out_NC, images_N, seed, rows, columns, x_NC.stride(0), layer, first_column, p, RELU=relu,
        ROWS=_ROWS, COLUMNS=_COLUMNS,
    )  # fmt: skip
    return out_NC


@triton.jit
def _keyed_dropout(
    x, out, images, seed, rows, columns, stride, layer, first_column, p,
    RELU: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    c = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    mask = (r < rows)[:, None] & (c < columns)[None, :]
    image = tl.load(images + r, r < rows, 0)
    number = (image[:, None] * 256 + layer) * 16777216 + (first_column + c)[None, :]
    z = (tl.load(seed) + number * -7046029254386353131).to(tl.uint64, bitcast=True)
    z = (z ^ (z >> 30)).to(tl.int64, bitcast=True) * -4658895280553007687
    z = z.to(tl.uint64, bitcast=True)
    z = (z ^ (z >> 27)).to(tl.int64, bitcast=True) * -7723592293110705685
    bits = (z.to(tl.uint64, bitcast=True) >> 40).to(tl.int32)
    keep = bits.to(tl.float32) >= p * 16777216
    value = tl.load(x + r.to(tl.int64)[:, None] * stride + c[None, :], mask, 0.0).to(tl.float32)
    if RELU:
        value = tl.where(value < 0, 0.0, value)
    value = tl.where(keep, value / (1 - p), 0.0)
    tl.store(out + r.to(tl.int64)[:, None] * columns + c[None, :], value.to(out.dtype.element_ty), mask)
