"""Column sums of a matrix of few rows: partial sums that programs of another kernel left, or a bias's gradient.

Plain twin: ``x.float().sum(0)``.
"""

import triton
import triton.language as tl
from torch import Tensor

# Programs that share the work of a kernel which leaves partial sums: about four for each of a large GPU's processors.
PARTS = 512

_ROWS, _COLUMNS = 128, 16


def column_sums(x_PC: Tensor, out_C: Tensor) -> None:
    """``out_C`` becomes the column sums of ``x_PC``, contiguous; added up in float32, always in the same order."""
    rows, columns = x_PC.shape
    _column_sums[(triton.cdiv(columns, _COLUMNS),)](
        x_PC, out_C, rows, columns, STEPS=triton.cdiv(rows, _ROWS), ROWS=_ROWS, COLUMNS=_COLUMNS
    )


def parts(tiles: int) -> tuple[int, int]:
    """How many programs share so many tiles, and how many each takes at most."""
    steps = triton.cdiv(tiles, PARTS)
    return triton.cdiv(tiles, steps), steps


@triton.jit
def _column_sums(x, out, rows, columns, STEPS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    c = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    r = tl.arange(0, ROWS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(STEPS):
        row = step * ROWS + r
        here = (row < rows)[:, None] & (c < columns)[None, :]
        total += tl.load(x + row[:, None] * columns + c[None, :], here, 0.0).to(tl.float32)
    tl.store(out + c, tl.sum(total, axis=0).to(out.dtype.element_ty), c < columns)
