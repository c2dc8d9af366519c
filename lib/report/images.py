"""Pictures made of pixels: first-layer filters, the mosaic of views, thumbnails. Arrays in, PNG bytes out."""

import base64
import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Between tiles: darker than what is shown, on white and on black paper.
_GAP = 24


def png(pixels_HWC: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels_HWC).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def data_uri(content: bytes) -> str:
    """A PNG file as text that <img src> takes."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def filter_tiles(filters_NCHW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Filters as pictures (N, H, W, 3), each stretched by itself around grey, as in the AlexNet paper.

    A filter of other than three inputs is shown by their mean.
    """
    filters = filters_NCHW if filters_NCHW.shape[1] == 3 else filters_NCHW.mean(1, keepdims=True).repeat(3, 1)
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    scaled = filters / np.maximum(largest, 1e-12)
    tiles: NDArray[np.uint8] = (127.5 + 127.5 * scaled).round().astype(np.uint8).transpose(0, 2, 3, 1)
    return tiles


def input_tiles(inputs_NCHW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What the network is fed as pictures (N, H, W, 3): one contrast for all, so that differences stay."""
    low, high = np.percentile(inputs_NCHW, [1, 99])
    scaled = (inputs_NCHW - low) / max(high - low, 1e-12)
    tiles: NDArray[np.uint8] = (255 * scaled.clip(0, 1)).round().astype(np.uint8).transpose(0, 2, 3, 1)
    return tiles


def grid(tiles_NHWC: NDArray[np.uint8], *, columns: int, zoom: int = 1, gap: int = 1) -> NDArray[np.uint8]:
    """Tiles side by side, each pixel ``zoom`` times as large: (H, W, 3)."""
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
    """Columns of a sheet a little wider than high.

    >>> columns_for(96), columns_for(64), columns_for(16)
    (12, 8, 4)
    """
    wanted = math.isqrt(count)
    return next((c for c in range(wanted, 2 * wanted + 1) if c * c >= count and count % c == 0), max(1, wanted))
