"""Crop, flip, normalize and change the layout of uint8 images, in one pass.

Plain twin: ``lib.data.augment.transform.crop_and_normalize``, then ``to_blocks``.

In the block layout, each block of ``side`` x ``side`` pixels is one pixel with ``side * side * 3`` channels. It turns a
convolution with stride ``side`` on 3 channels into one with stride 1 on enough channels for tensor cores. With
``side`` 1 it is plain channels-last.
"""

import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional


def crop_to_blocks(
    images_BHWC: Tensor,
    mean_HWC: Tensor,
    std_C: Tensor,
    params_BV: Tensor,
    crop: int,
    out_BYXC: Tensor,
    *,
    side: int,
    pad: int = 0,
) -> None:
    """Write crops of ``images_BHWC``, less the mean image and over ``std_C``, to ``out_BYXC`` in the block layout.

    ``images_BHWC`` is uint8 (B, H, W, 3), ``mean_HWC`` float32 (W, W, 3), ``std_C`` float32 (3,), all contiguous.
    Images with H equal to ``crop`` begin at the top of their crop; others are whole.
    ``params_BV`` is int16 (B, 3): top, left, and 1 to flip. ``out_BYXC`` is floating (at least B, Y, X,
    C), C at least side * side * 3. Each crop begins ``pad`` pixels from the corner, with zeros around it.
    Further channels and images beyond the B-th are not written.
    """
    params_BV = params_BV.contiguous()  # evaluation expands one row for all images
    batch, height, width, _ = images_BHWC.shape
    _, rows, columns, channels = out_BYXC.shape
    _crop_to_blocks[(batch, rows)](
        images_BHWC, mean_HWC, std_C, params_BV, out_BYXC, height, width, crop, pad, rows, columns, channels,
        FROM_TOP=height == crop, SIDE=side, LINE=triton.next_power_of_2(columns * side * 3),
    )  # fmt: skip


def to_blocks(x_BCHW: Tensor, side: int, rows: int, pad: int = 0) -> Tensor:
    """Return images (B, 3, H, W) in the block layout (B, rows, rows, side * side * 3), with zeros around them."""
    after_h, after_w = (side * rows - pad - length for length in x_BCHW.shape[2:])
    padded = functional.pad(x_BCHW, (pad, after_w, pad, after_h))
    blocks_BCYyXx = padded.unflatten(3, (rows, side)).unflatten(2, (rows, side))
    blocks_BYXyxC: Tensor = blocks_BCYyXx.permute(0, 2, 4, 3, 5, 1)
    return blocks_BYXyxC.flatten(3)


@triton.jit
def _crop_to_blocks(
    images, mean, std, crops, out, height, width, crop, pad, rows, columns, channels,
    FROM_TOP: tl.constexpr, SIDE: tl.constexpr, LINE: tl.constexpr,
):  # fmt: skip
    # Each program writes one row of blocks, one line of pixels at a time.
    b, row = tl.program_id(0), tl.program_id(1)
    top = tl.load(crops + b * 3).to(tl.int32)
    left = tl.load(crops + b * 3 + 1).to(tl.int32)
    flip = tl.load(crops + b * 3 + 2) == 1
    element = tl.arange(0, LINE)
    block, within = element // (3 * SIDE), element % (3 * SIDE)
    x, color = element // 3 - pad, element % 3
    divisor = tl.load(std + color)
    column = left + tl.where(flip, crop - 1 - x, x)
    mask = block < columns
    target = out + (b.to(tl.int64) * rows + row) * columns * channels + block * channels + within
    image = images + b.to(tl.int64) * height * width * 3
    for line in tl.static_range(SIDE):
        y = row * SIDE + line - pad
        inside = mask & (x >= 0) & (x < crop) & (y >= 0) & (y < crop)
        source = ((top + y) * width + column) * 3 + color
        pixel = (y * width + column) * 3 + color if FROM_TOP else source
        value = tl.load(image + pixel, inside, 0).to(tl.float32) - tl.load(mean + source, inside, 0.0)
        value = tl.where(inside, value / divisor, 0.0)
        tl.store(target + line * SIDE * 3, value.to(out.dtype.element_ty), mask)
