"""The operations of TrivialAugment and RandAugment on uint8 images, one of each image in a pass.

Plain twin: ``lib.data.augment.auto``. Values are counted, tables of 256 values are made of the counts, and pixels are
moved, looked up or blended. Images without such an operation cost a copy.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024
# Rows of an image's counts and tables: three channels; the first number of the last row is the sum of its gray.
_ROWS = 4

SHEAR_X, SHEAR_Y, TRANSLATE_X, TRANSLATE_Y, ROTATE = (tl.constexpr(number) for number in range(1, 6))
BRIGHTNESS, CONTRAST, POSTERIZE, SOLARIZE, AUTOCONTRAST, EQUALIZE = (tl.constexpr(n) for n in range(6, 12))
COLOR, SHARPNESS = tl.constexpr(12), tl.constexpr(13)


def operate(images_BSSC: Tensor, params_BV: Tensor, column: int) -> Tensor:
    """Return the images, uint8 (B, S, S, 3), each after its operation.

    ``params_BV`` is float32 (B, V), with the number of the operation in ``column`` and its magnitude in the next.
    """
    batch, side, _, _ = images_BSSC.shape
    counts = torch.zeros(batch, _ROWS, 256, dtype=torch.int32, device=images_BSSC.device)
    tables = torch.empty(batch, _ROWS, 256, dtype=torch.uint8, device=images_BSSC.device)
    out_BSSC = torch.empty_like(images_BSSC)
    blocks, stride = triton.cdiv(side * side, _BLOCK), params_BV.stride(0)
    _count[batch, blocks](images_BSSC, params_BV, counts, stride, column, side * side, BLOCK=_BLOCK)
    _make_tables[batch, 3](params_BV, counts, tables, stride, column, side * side)
    _operate[batch, blocks](images_BSSC, params_BV, tables, out_BSSC, stride, column, side, BLOCK=_BLOCK)
    return out_BSSC


@triton.jit
def _gray(red, green, blue):
    return (19595 * red.to(tl.int32) + 38470 * green.to(tl.int32) + 7471 * blue.to(tl.int32) + 0x8000) >> 16


@triton.jit
def _count(images, drawn, counts, stride, column, pixels, BLOCK: tl.constexpr):
    b = tl.program_id(0).to(tl.int64)
    operation = tl.load(drawn + b * stride + column).to(tl.int32)
    pixel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = pixel < pixels
    source, target = images + (b * pixels + pixel) * 3, counts + b * 4 * 256
    if operation == CONTRAST:
        gray = _gray(tl.load(source, mask, 0), tl.load(source + 1, mask, 0), tl.load(source + 2, mask, 0))
        tl.atomic_add(target + 3 * 256, tl.sum(tl.where(mask, gray, 0), axis=0))
    if (operation == AUTOCONTRAST) | (operation == EQUALIZE):
        for color in tl.static_range(3):
            value = tl.load(source + color, mask, 0).to(tl.int32)
            tl.atomic_add(target + color * 256 + value, 1, mask)


@triton.jit
def _make_tables(drawn, counts, tables, stride, column, pixels):
    b, color = tl.program_id(0).to(tl.int64), tl.program_id(1)
    operation = tl.load(drawn + b * stride + column).to(tl.int32)
    magnitude = tl.load(drawn + b * stride + column + 1)
    value = tl.arange(0, 256)
    result = value
    if operation == BRIGHTNESS:
        result = _limited(magnitude * value)
    if operation == CONTRAST:
        gray = tl.floor(tl.load(counts + b * 4 * 256 + 3 * 256).to(tl.float64) / pixels + 0.5).to(tl.float32)
        result = _limited(gray + magnitude * (value - gray))
    if operation == POSTERIZE:
        dropped = 8 - magnitude.to(tl.int32)
        result = (value >> dropped) << dropped
    if operation == SOLARIZE:
        result = tl.where(value < magnitude, value, 255 - value)
    if (operation == AUTOCONTRAST) | (operation == EQUALIZE):
        count = tl.load(counts + (b * 4 + color) * 256 + value)
        low = tl.min(tl.where(count > 0, value, 255), axis=0)
        high = tl.max(tl.where(count > 0, value, 0), axis=0)
        scale = 255.0 / tl.maximum(high - low, 1).to(tl.float64)
        stretched = tl.minimum(tl.maximum(value * scale - low * scale, 0.0), 255.0).to(tl.int32)
        step = (tl.sum(count, axis=0) - tl.sum(tl.where(value == high, count, 0), axis=0)) // 255
        before = tl.cumsum(count, axis=0) - count
        equalized = tl.minimum((step // 2 + before) // tl.maximum(step, 1), 255)
        result = tl.where(
            operation == EQUALIZE, tl.where(step > 0, equalized, value), tl.where(high > low, stretched, value)
        )
    tl.store(tables + (b * 4 + color) * 256 + value, result.to(tl.uint8))


@triton.jit
def _limited(value):
    return tl.minimum(tl.maximum(value, 0.0), 255.0).to(tl.int32)


@triton.jit
def _operate(images, drawn, tables, out, stride, column, side, BLOCK: tl.constexpr):
    b = tl.program_id(0).to(tl.int64)
    operation = tl.load(drawn + b * stride + column).to(tl.int32)
    magnitude = tl.load(drawn + b * stride + column + 1)
    pixel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    written = pixel < side * side
    y, x, mask = pixel // side, pixel % side, written
    if (operation >= SHEAR_X) & (operation <= ROTATE):
        y, x = _origin(operation, magnitude, y, x, side)
        mask = written & (x >= 0) & (x < side) & (y >= 0) & (y < side)
    source = images + (b * side * side + y * side + x) * 3
    red, green = tl.load(source, mask, 0).to(tl.int32), tl.load(source + 1, mask, 0).to(tl.int32)
    blue = tl.load(source + 2, mask, 0).to(tl.int32)
    if (operation >= BRIGHTNESS) & (operation <= EQUALIZE):
        table = tables + b * 4 * 256
        red = tl.load(table + red).to(tl.int32)
        green, blue = tl.load(table + 256 + green).to(tl.int32), tl.load(table + 512 + blue).to(tl.int32)
    if operation == COLOR:
        gray = _gray(red, green, blue)
        red, green = _blended(gray, red, magnitude), _blended(gray, green, magnitude)
        blue = _blended(gray, blue, magnitude)
    if operation == SHARPNESS:
        within = written & (y > 0) & (y < side - 1) & (x > 0) & (x < side - 1)
        red = _sharpened(source, red, side, within, magnitude)
        green = _sharpened(source + 1, green, side, within, magnitude)
        blue = _sharpened(source + 2, blue, side, within, magnitude)
    target = out + (b * side * side + pixel) * 3
    tl.store(target, red.to(tl.uint8), written)
    tl.store(target + 1, green.to(tl.uint8), written)
    tl.store(target + 2, blue.to(tl.uint8), written)


@triton.jit
def _origin(operation, magnitude, y, x, side):
    # The pixel of the image that lies at (y, x) of the result: see lib.data.augment.auto.matrices.
    angle = tl.where(operation == ROTATE, magnitude, 0.0) * 0.017453292519943295
    sin, cos, middle = tl.sin(angle), tl.cos(angle), side / 2
    across, down = tl.where(operation == SHEAR_X, magnitude, 0.0), tl.where(operation == SHEAR_Y, magnitude, 0.0)
    right = tl.where(operation == TRANSLATE_X, magnitude, 0.0)
    below = tl.where(operation == TRANSLATE_Y, magnitude, 0.0)
    px = cos * (x + 0.5) + (across - sin) * (y + 0.5) + (middle * (1 - cos + sin) - right)
    py = (down + sin) * (x + 0.5) + cos * (y + 0.5) + (middle * (1 - cos - sin) - below)
    return tl.floor(py).to(tl.int32), tl.floor(px).to(tl.int32)


@triton.jit
def _blended(other, value, factor):
    return _limited(other + factor * (value - other))


@triton.jit
def _sharpened(source, value, side, within, factor):
    total = 4 * value
    for i in tl.static_range(3):
        for j in tl.static_range(3):
            total += tl.load(source + ((i - 1) * side + j - 1) * 3, within, 0).to(tl.int32)
    smooth = tl.where(within, (2 * total + 13) // 26, value)
    return _blended(smooth, value, factor)
