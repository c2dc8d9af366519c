"""Convert filters and network inputs into images, and images into sheets and PNG files."""

import base64
import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Grey level between tiles. It separates them on light and on dark pages.
_GAP = 24


def png(pixels_HWC: NDArray[np.uint8]) -> bytes:
    """Encode (H, W, 3) as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels_HWC).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def data_uri(content: bytes) -> str:
    """Encode a PNG file as text for <img src>."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def filter_tiles(filters_NCHW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return filters as images (N, H, W, 3). Each is scaled to its own range around grey, as in the AlexNet paper.

    Filters of other than three input channels are averaged over them.
    """
    filters = filters_NCHW if filters_NCHW.shape[1] == 3 else filters_NCHW.mean(1, keepdims=True).repeat(3, 1)
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    scaled = filters / np.maximum(largest, 1e-12)
    tiles: NDArray[np.uint8] = (127.5 + 127.5 * scaled).round().astype(np.uint8).transpose(0, 2, 3, 1)
    return tiles


def input_tiles(inputs_NCHW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return network inputs as images (N, H, W, 3), all scaled alike so that their differences stay visible."""
    low, high = np.percentile(inputs_NCHW, [1, 99])
    scaled = (inputs_NCHW - low) / max(high - low, 1e-12)
    tiles: NDArray[np.uint8] = (255 * scaled.clip(0, 1)).round().astype(np.uint8).transpose(0, 2, 3, 1)
    return tiles


def grid(tiles_NHWC: NDArray[np.uint8], *, columns: int, zoom: int = 1, gap: int = 1) -> NDArray[np.uint8]:
    """Arrange tiles in a sheet (H, W, 3), each pixel enlarged to ``zoom`` x ``zoom``."""
    tiles = tiles_NHWC.repeat(zoom, axis=1).repeat(zoom, axis=2)
    n, height, width, _ = tiles.shape
    gap *= zoom
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), _GAP, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def columns_for(count: int) -> int:
    """Return the number of columns that makes a sheet of ``count`` tiles a little wider than high.

    >>> columns_for(96), columns_for(64), columns_for(16)
    (12, 8, 4)
    """
    side = math.isqrt(count)
    return next((c for c in range(side, 2 * side + 1) if c * c >= count and count % c == 0), max(1, side))
