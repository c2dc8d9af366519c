"""Convert filters and network inputs into images, and images into sheets and PNG files."""

import base64
import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Grey level between tiles. It separates them on light and on dark pages.
_GAP = 24
# Width in pixels of the sheet of filters.
_FILTERS_WIDTH = 720


def png(pixels_HWC: NDArray[np.uint8], side: int | None = None) -> bytes:
    """Encode (H, W, 3) as a PNG file, shrunk to at most ``side`` pixels in height and width."""
    image, buffer = Image.fromarray(pixels_HWC), io.BytesIO()
    image.thumbnail((side or image.width, side or image.height))
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def data_uri(pixels_HWC: NDArray[np.uint8], side: int | None = None) -> str:
    """Return what ``png`` returns, as text for <img src>."""
    return "data:image/png;base64," + base64.b64encode(png(pixels_HWC, side)).decode()


def filter_sheet(filters_NCHW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return filters as one image. Each is scaled to its own range around grey, as in the AlexNet paper.

    Filters of other than three input channels are averaged over them.
    """
    filters = filters_NCHW if filters_NCHW.shape[1] == 3 else filters_NCHW.mean(1, keepdims=True).repeat(3, 1)
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    columns = columns_for(len(filters))
    zoom = max(2, _FILTERS_WIDTH // (columns * filters.shape[3]))
    return grid(127.5 + 127.5 * filters / np.maximum(largest, 1e-12), columns=columns, zoom=zoom)


def input_sheet(inputs_NCHW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return network inputs as one image, all scaled alike so that their differences stay visible."""
    low, high = np.percentile(inputs_NCHW, [1, 99])
    return grid(255 * ((inputs_NCHW - low) / max(high - low, 1e-12)).clip(0, 1), columns=8, gap=2)


def grid(tiles_NCHW: NDArray[np.floating], *, columns: int, zoom: int = 1, gap: int = 1) -> NDArray[np.uint8]:
    """Arrange tiles, 0 to 255, in a sheet (H, W, 3), each pixel enlarged to ``zoom`` x ``zoom``."""
    tiles = tiles_NCHW.round().astype(np.uint8).transpose(0, 2, 3, 1).repeat(zoom, axis=1).repeat(zoom, axis=2)
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
