"""Draw a confusion matrix: rows are true classes, columns are predicted classes, and darker means more often."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

# All sizes are in pixels. The matrix is about this wide, unless that makes a cell smaller than one pixel.
_SIDE = 900
_MAX_CELL = 48
# Smaller cells leave no room for names.
_MIN_NAMED_CELL = 12
_FONT_SIZE = 11
_MARGIN = 8
# Characters of a name that are drawn.
_MAX_NAME = 28
# White to dark blue, monotonic in brightness too, so that it can be printed in grey.
_COLOURS = np.array([(255, 255, 255), (158, 202, 225), (33, 113, 181), (8, 29, 88)], float)


def draw_confusion(confusion: NDArray[np.int64], names: Sequence[str]) -> Image.Image:
    """Draw ``confusion`` (K, K) with each row normalized to its sum. ``names`` are drawn if there is room."""
    cell = max(1, min(_MAX_CELL, _SIDE // len(confusion)))
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    # The square root keeps rare confusions visible next to a full diagonal.
    channels = [np.interp(np.sqrt(shares), np.linspace(0, 1, len(_COLOURS)), channel) for channel in _COLOURS.T]
    cells = np.kron(np.stack(channels, -1).round().astype(np.uint8), np.ones((cell, cell, 1), np.uint8))
    if cell < _MIN_NAMED_CELL:
        return Image.fromarray(cells)
    return _with_names(Image.fromarray(cells), cell, [name[:_MAX_NAME] for name in names])


def _with_names(matrix: Image.Image, cell: int, names: Sequence[str]) -> Image.Image:
    """Add the true classes at the left and the predicted classes, rotated, above."""
    font = ImageFont.load_default(_FONT_SIZE)
    room = int(max(font.getlength(name) for name in names)) + 2 * _MARGIN
    left = Image.new("RGB", (room, matrix.height), "white")
    draw = ImageDraw.Draw(left)
    for number, name in enumerate(names):
        draw.text((room - _MARGIN, (number + 0.5) * cell), name, fill="black", font=font, anchor="rm")
    page = Image.new("RGB", (room + matrix.width + _MARGIN, room + matrix.height + _MARGIN), "white")
    page.paste(left, (0, room))
    page.paste(left.transpose(Image.Transpose.ROTATE_90), (room, 0))
    page.paste(matrix, (room, room))
    return page
