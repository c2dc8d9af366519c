"""Column sums of a matrix with few rows: a bias's gradient, or the partial sums that another kernel wrote.

Plain twin: ``x_PC.float().sum(0)``.
"""

import triton
import triton.language as tl
from torch import Tensor

# Programs of a kernel that writes partial sums: about four per multiprocessor of a large GPU.
_MAX_PROGRAMS = 512

_ROWS, _COLUMNS = 128, 16


def column_sums(x_PC: Tensor, out_C: Tensor) -> None:
    """Write the column sums of ``x_PC`` (P, C) to ``out_C`` (C,).

    Both are contiguous, of any floating dtype. Sums are accumulated in float32, in a fixed order.
    """
    rows, columns = x_PC.shape
    _column_sums[(triton.cdiv(columns, _COLUMNS),)](
        x_PC, out_C, rows, columns, STEPS=triton.cdiv(rows, _ROWS), ROWS=_ROWS, COLUMNS=_COLUMNS
    )


def split_tiles(tiles: int) -> tuple[int, int]:
    """Return the number of programs that share ``tiles`` tiles, and the largest number of tiles per program."""
    steps = triton.cdiv(tiles, _MAX_PROGRAMS)
    return triton.cdiv(tiles, steps), steps


@triton.jit
def _column_sums(x, out, rows, columns, STEPS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    c = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    r = tl.arange(0, ROWS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(STEPS):
        row = step * ROWS + r
        mask = (row < rows)[:, None] & (c < columns)[None, :]
        total += tl.load(x + row[:, None] * columns + c[None, :], mask, 0.0).to(tl.float32)
    tl.store(out + c, tl.sum(total, axis=0).to(out.dtype.element_ty), c < columns)
