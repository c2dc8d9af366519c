"""Cut, mirror, subtract the mean image, and lay out as the first convolution eats it: from uint8 in one pass.

Plain twin: ``lib.data.augment.params.crop_and_normalize``, then ``to_blocks``.

Layout: squares of ``side`` x ``side`` pixels become one pixel with ``side``^2 * 3 channels. A convolution with stride
``side`` becomes one with stride 1 on enough channels for the matrix units; side 1 is plain channels-last.
"""

import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional


def cut_to_blocks(images_BHWC: Tensor, mean_HWC: Tensor, params_BV: Tensor, crop: int, out_BYXC: Tensor) -> None:
    """AugmentParams of uint8 images into ``out_BYXC`` (at least B, Y, X, side * side * 3); 0 beyond the crop.

    Images (B, H, W, 3) and ``mean_HWC``, float32, are contiguous; ``params_BV`` are plain rows, int16 (B, 3). Images
    of ``out_BYXC`` beyond the B-th stay as they are.
    """
    params_BV = params_BV.contiguous()  # one view may stand for all images: an expanded row
    batch, height, width, _ = images_BHWC.shape
    _, rows, columns, channels = out_BYXC.shape
    side = round((channels // 3) ** 0.5)
    _cut_to_blocks[(batch, rows)](
        images_BHWC, mean_HWC, params_BV, out_BYXC, height, width, crop, rows, columns,
        SIDE=side, LINE=triton.next_power_of_2(columns * side * 3),
    )  # fmt: skip


def to_blocks(x_BCHW: Tensor, side: int, rows: int) -> Tensor:
    """Images (B, 3, H, W) as (B, rows, rows, side * side * 3), zeros beyond their edges."""
    short = [side * rows - length for length in x_BCHW.shape[2:]]
    padded = functional.pad(x_BCHW, (0, short[1], 0, short[0]))
    blocks_BCYyXx = padded.unflatten(3, (rows, side)).unflatten(2, (rows, side))
    blocks_BYXyxC: Tensor = blocks_BCYyXx.permute(0, 2, 4, 3, 5, 1)
    return blocks_BYXyxC.flatten(3)


@triton.jit
def _cut_to_blocks(
    images, mean, params, out, height, width, crop, rows, columns, SIDE: tl.constexpr, LINE: tl.constexpr
):
    # A program makes one row of squares, line by line of pixels.
    b, row = tl.program_id(0), tl.program_id(1)
    top = tl.load(params + b * 3).to(tl.int32)
    left = tl.load(params + b * 3 + 1).to(tl.int32)
    mirrored = tl.load(params + b * 3 + 2) == 1
    element = tl.arange(0, LINE)
    square, within = element // (3 * SIDE), element % (3 * SIDE)
    x, color = element // 3, element % 3
    column = left + tl.where(mirrored, crop - 1 - x, x)
    here = square < columns
    target = out + (b.to(tl.int64) * rows + row) * columns * (SIDE * SIDE * 3) + square * (SIDE * SIDE * 3) + within
    image = images + b.to(tl.int64) * height * width * 3
    for line in tl.static_range(SIDE):
        y = row * SIDE + line
        inside = here & (x < crop) & (y < crop)
        source = ((top + y) * width + column) * 3 + color
        value = tl.load(image + source, inside, 0).to(tl.float32) - tl.load(mean + source, inside, 0.0)
        tl.store(target + line * SIDE * 3, value.to(out.dtype.element_ty), here)
