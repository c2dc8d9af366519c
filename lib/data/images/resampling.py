"""Resize part of an image to a square, bilinearly and with antialiasing.

This computes what Pillow does, with SIMD instructions and about five times as fast. The two round differently: by at
most two levels, and by far less than one level on average. Every processor gives the same bits.
"""

from typing import NamedTuple

import numpy as np
from cykooz_resizer import CropBox, FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer
from numpy.typing import NDArray


class Box(NamedTuple):
    """A part of an image, in pixels. Its edges may lie within pixels."""

    left: float
    top: float
    width: float
    height: float


def resample(pixels_HWC: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8]:
    """Resize the part ``box`` of an RGB image (H, W, 3) to uint8 (size, size, 3)."""
    height, width, _ = pixels_HWC.shape
    image = ImageData(width, height, PixelType.U8x3, pixels_HWC.tobytes())
    square = ImageData(size, size, PixelType.U8x3)
    bilinear = ResizeAlg.convolution(FilterType.bilinear)
    # A Resizer keeps buffers and is not thread-safe. Making one costs less than sharing it.
    Resizer().resize(image, square, ResizeOptions(bilinear, crop_box=CropBox(*box)))
    return np.frombuffer(square.get_buffer(), np.uint8).reshape(size, size, 3)
