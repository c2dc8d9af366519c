"""Crop, resize, rotate, recolor, erase, mix, normalize and lay out uint8 images, in two or three passes.

Plain twin: ``lib.data.augment.transform.Transform`` with wide rows of parameters, then ``to_blocks``. The first pass
samples each crop, the second sums its gray where contrast needs the mean, the last does all the rest.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .auto import operate
from .window import mixed, place_of

_ROUNDS = 2
_TILES = 16
"""parts in which the pixels of an image are summed"""
_BLOCK = 1024


class Columns(NamedTuple):
    """The first column of each augmentation's parameters; -1: it is off."""

    auto: int = -1
    window: int = -1
    padded: int = -1
    warp: int = -1
    jitter: int = -1
    lighting: int = -1
    erasing: int = -1
    mixing: int = -1

    @property
    def resamples(self) -> bool:
        """Whether crops are more than copied windows."""
        return self.window >= 0 or self.warp >= 0


def augment_to_blocks(
    images_BHWC: Tensor,
    mean_HWC: Tensor,
    std_C: Tensor,
    params_BV: Tensor,
    crop: int,
    size: int,
    out_BYXC: Tensor,
    *,
    columns: Columns,
    cubic: bool,
    mean_varies: bool,
    side: int,
    pad: int = 0,
) -> None:
    """Write the augmented crops of ``images_BHWC``, resized to ``size``, to ``out_BYXC`` in the block layout.

    See ``crop_to_blocks`` for the layout.
    ``params_BV`` is float32 (B, V), rows of ``lib.data.augment.params``. Without ``mean_varies`` all pixels of the
    mean image are equal. Pixels are mixed bilinearly or, with ``cubic``, bicubically.
    """
    sampled_BSSC = sample(images_BHWC, params_BV, crop, size, columns=columns, cubic=cubic)
    for i in range(_ROUNDS if columns.auto >= 0 else 0):
        sampled_BSSC = operate(sampled_BSSC, params_BV, columns.auto + 2 * i)
    _, _, width, _ = images_BHWC.shape
    batch = len(images_BHWC)
    grays_BT = torch.empty(batch, _TILES, dtype=torch.float32, device=sampled_BSSC.device)
    if columns.jitter >= 0:
        steps = triton.cdiv(size * size, _TILES * _BLOCK)
        _sum_gray[batch, _TILES](sampled_BSSC, grays_BT, size * size, STEPS=steps, TILES=_TILES, BLOCK=_BLOCK)
    _, rows, blocks, channels = out_BYXC.shape
    _finish[batch, rows](
        sampled_BSSC, grays_BT, mean_HWC, std_C, params_BV, out_BYXC, params_BV.stride(0), batch, width, crop,
        size, pad, rows, blocks, channels, *columns[1:],
        MEAN_VARIES=mean_varies or columns.padded >= 0,  # padding is zero in the mean image too
        RESAMPLES=columns.resamples or size != crop, CUBIC=cubic,
        SIDE=side, TILES=_TILES, LINE=triton.next_power_of_2(blocks * side),
    )  # fmt: skip


def sample(images_BHWC: Tensor, params_BV: Tensor, crop: int, size: int, *, columns: Columns, cubic: bool) -> Tensor:
    """Return the crops (B, size, size, 3), float32, or uint8 if operations on whole numbers follow."""
    batch, height, width, _ = images_BHWC.shape
    dtype = torch.uint8 if columns.auto >= 0 else torch.float32
    sampled_BSSC = torch.empty(batch, size, size, 3, dtype=dtype, device=images_BHWC.device)
    _sample[batch, triton.cdiv(size * size, _BLOCK)](
        images_BHWC, params_BV, sampled_BSSC, params_BV.stride(0), height, width, crop, size,
        FROM_TOP=height == crop, RESAMPLES=columns.resamples or size != crop,
        WINDOW=columns.window, PADDED=columns.padded, WARP=columns.warp,
        CUBIC=cubic, ROUNDED=columns.auto >= 0, BLOCK=_BLOCK,
    )  # fmt: skip
    return sampled_BSSC


@triton.jit
def _sample(
    images, drawn, out, stride, height, width, crop, size,
    FROM_TOP: tl.constexpr, RESAMPLES: tl.constexpr, WINDOW: tl.constexpr, PADDED: tl.constexpr, WARP: tl.constexpr,
    CUBIC: tl.constexpr, ROUNDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    b = tl.program_id(0).to(tl.int64)
    pixel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = pixel < size * size
    row, image = drawn + b * stride, images + b * height * width * 3
    start = 0
    if FROM_TOP:
        start = tl.load(row).to(tl.int32)
    r, c, dy, dx = place_of(row, pixel // size, pixel % size, width, crop, size, WINDOW, PADDED, WARP, RESAMPLES)
    red, green, blue = mixed(image, r, c, dy, dx, mask, width, start, RESAMPLES, PADDED, CUBIC)
    if ROUNDED:
        red, green, blue = red + 0.5, green + 0.5, blue + 0.5  # and rounded down when stored
    target = out + (b * size * size + pixel) * 3
    tl.store(target, red.to(out.dtype.element_ty), mask)
    tl.store(target + 1, green.to(out.dtype.element_ty), mask)
    tl.store(target + 2, blue.to(out.dtype.element_ty), mask)


@triton.jit
def _gray(r, g, b):
    return 0.299 * r + 0.587 * g + 0.114 * b


@triton.jit
def _sum_gray(sampled, sums, pixels, STEPS: tl.constexpr, TILES: tl.constexpr, BLOCK: tl.constexpr):
    b, tile = tl.program_id(0).to(tl.int64), tl.program_id(1)
    total = tl.zeros((BLOCK,), tl.float32)
    for step in range(STEPS):
        pixel = (step * TILES + tile) * BLOCK + tl.arange(0, BLOCK)
        source, mask = sampled + (b * pixels + pixel) * 3, pixel < pixels
        red, green = tl.load(source, mask, 0).to(tl.float32), tl.load(source + 1, mask, 0).to(tl.float32)
        total += _gray(red, green, tl.load(source + 2, mask, 0).to(tl.float32))
    tl.store(sums + b * TILES + tile, tl.sum(total, axis=0))


@triton.jit
def _recolored(r, g, b, row, gray_sum, pixels, JITTER: tl.constexpr, LIGHTING: tl.constexpr):
    if JITTER >= 0:
        order = tl.load(row + JITTER + 3).to(tl.int32)
        first = order // 2  # of the permutations in lexical order
        second = tl.where(order % 2 == 0, tl.where(first == 0, 1, 0), tl.where(first == 2, 1, 2))
        mean = gray_sum / pixels
        for step in tl.static_range(3):
            kind = first if step == 0 else (second if step == 1 else 3 - first - second)
            factor = tl.load(row + JITTER + kind)
            other = tl.where(kind == 2, _gray(r, g, b), tl.where(kind == 1, mean, 0.0)) * (1 - factor)
            r, g, b = factor * r + other, factor * g + other, factor * b + other
            mean = tl.where(kind == 0, factor * mean, mean)
    if LIGHTING >= 0:
        r, g, b = r + tl.load(row + LIGHTING), g + tl.load(row + LIGHTING + 1), b + tl.load(row + LIGHTING + 2)
    return r, g, b


@triton.jit
def _within(row, y, x, size, COLUMN: tl.constexpr):
    # Whether the middle of a pixel lies in a rectangle: see lib.data.augment.rectangle.
    top, left = tl.load(row + COLUMN), tl.load(row + COLUMN + 1)
    bottom, right = top + tl.load(row + COLUMN + 2), left + tl.load(row + COLUMN + 3)
    v, u = (y + 0.5) / size, (x + 0.5) / size
    return (u >= left) & (u < right) & (v >= top) & (v < bottom)


@triton.jit
def _normalized(
    b, sampled, grays, mean, drawn, stride, width, crop, size, y, x, mask,
    WINDOW: tl.constexpr, PADDED: tl.constexpr, WARP: tl.constexpr, JITTER: tl.constexpr, LIGHTING: tl.constexpr,
    ERASING: tl.constexpr, MEAN_VARIES: tl.constexpr, RESAMPLES: tl.constexpr, CUBIC: tl.constexpr,
    TILES: tl.constexpr,
):  # fmt: skip
    # Red, green and blue of pixels (y, x) of image b, less the mean.
    row = drawn + b * stride
    source = sampled + ((b * size + y) * size + x) * 3
    red, green = tl.load(source, mask, 0).to(tl.float32), tl.load(source + 1, mask, 0).to(tl.float32)
    blue, gray_sum = tl.load(source + 2, mask, 0).to(tl.float32), 0.0
    if JITTER >= 0:
        gray_sum = tl.sum(tl.load(grays + b * TILES + tl.arange(0, TILES)), axis=0)
    red, green, blue = _recolored(red, green, blue, row, gray_sum, size * size, JITTER, LIGHTING)
    if ERASING >= 0:
        erased = _within(row, y, x, size, ERASING)
        red = tl.where(erased, tl.load(row + ERASING + 4), red)
        green = tl.where(erased, tl.load(row + ERASING + 5), green)
        blue = tl.where(erased, tl.load(row + ERASING + 6), blue)
    if MEAN_VARIES:
        r, c, dy, dx = place_of(row, y, x, width, crop, size, WINDOW, PADDED, WARP, RESAMPLES)
        red0, green0, blue0 = mixed(mean, r, c, dy, dx, mask, width, 0, RESAMPLES, PADDED, CUBIC)
        red, green, blue = red - red0, green - green0, blue - blue0
    return red, green, blue


@triton.jit
def _finish(
    sampled, grays, mean, std, drawn, out, stride, batch, width, crop, size, pad, rows, blocks, channels,
    WINDOW: tl.constexpr, PADDED: tl.constexpr, WARP: tl.constexpr, JITTER: tl.constexpr, LIGHTING: tl.constexpr,
    ERASING: tl.constexpr, MIXING: tl.constexpr, MEAN_VARIES: tl.constexpr, RESAMPLES: tl.constexpr,
    CUBIC: tl.constexpr, SIDE: tl.constexpr, TILES: tl.constexpr, LINE: tl.constexpr,
):  # fmt: skip
    # Each program writes one row of blocks, one line of pixels at a time.
    b, block_row = tl.program_id(0).to(tl.int64), tl.program_id(1)
    place = tl.arange(0, LINE)
    block, within = place // SIDE, place % SIDE
    x, written = place - pad, place < blocks * SIDE
    target = out + (b * rows + block_row) * blocks * channels + block * channels + within * 3
    row = drawn + b * stride
    for line in tl.static_range(SIDE):
        y = block_row * SIDE + line - pad + tl.zeros_like(place)
        inside = written & (x >= 0) & (x < size) & (y >= 0) & (y < size)
        red, green, blue = _normalized(
            b, sampled, grays, mean, drawn, stride, width, crop, size, y, x, inside,
            WINDOW, PADDED, WARP, JITTER, LIGHTING, ERASING, MEAN_VARIES, RESAMPLES, CUBIC, TILES,
        )  # fmt: skip
        if MIXING >= 0:
            partner = tl.minimum(b ^ 1, batch - 1)
            red2, green2, blue2 = _normalized(
                partner, sampled, grays, mean, drawn, stride, width, crop, size, y, x, inside,
                WINDOW, PADDED, WARP, JITTER, LIGHTING, ERASING, MEAN_VARIES, RESAMPLES, CUBIC, TILES,
            )  # fmt: skip
            share = tl.where(_within(row, y, x, size, MIXING + 1), 0.0, tl.load(row + MIXING))
            red, green = share * red + (1 - share) * red2, share * green + (1 - share) * green2
            blue = share * blue + (1 - share) * blue2
        if not MEAN_VARIES:
            red, green, blue = red - tl.load(mean), green - tl.load(mean + 1), blue - tl.load(mean + 2)
        start = target + line * SIDE * 3
        red = tl.where(inside, red / tl.load(std), 0.0)
        green = tl.where(inside, green / tl.load(std + 1), 0.0)
        blue = tl.where(inside, blue / tl.load(std + 2), 0.0)
        tl.store(start, red.to(out.dtype.element_ty), written)
        tl.store(start + 1, green.to(out.dtype.element_ty), written)
        tl.store(start + 2, blue.to(out.dtype.element_ty), written)
