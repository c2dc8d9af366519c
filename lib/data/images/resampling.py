"""Pixels to a square of another size, bilinear: each new pixel averages over all that become one, more where near.

``resample`` is Pillow's arithmetic in wide registers, some five times as fast; ``resample_plainly`` is Pillow itself,
to measure and to test against. They round otherwise: two grey levels at the very most, far less than one on average.
Every processor gives the same bits.
"""

from typing import NamedTuple

import numpy as np
from cykooz_resizer import CropBox, FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer
from numpy.typing import NDArray
from PIL import Image


class Box(NamedTuple):
    """A part of an image, in pixels, which may be cut in two."""

    left: float
    top: float
    width: float
    height: float


def resample(pixels_HWC: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8]:
    """What is in ``box`` of an RGB image (H, W, 3), as uint8 (size, size, 3)."""
    height, width, _ = pixels_HWC.shape
    image = ImageData(width, height, PixelType.U8x3, pixels_HWC.tobytes())
    square = ImageData(size, size, PixelType.U8x3)
    bilinear = ResizeAlg.convolution(FilterType.bilinear)
    # A resizer keeps memory between uses, and is no thread's but its own: making one costs less than sharing it.
    Resizer().resize(image, square, ResizeOptions(bilinear, crop_box=CropBox(*box)))
    return np.frombuffer(square.get_buffer(), np.uint8).reshape(size, size, 3)


def resample_plainly(pixels_HWC: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8]:
    """The same, by Pillow."""
    corners = (box.left, box.top, box.left + box.width, box.top + box.height)
    image = Image.fromarray(pixels_HWC)
    return np.array(image.resize((size, size), Image.Resampling.BILINEAR, box=corners))
