"""Image bytes in, upright square RGB out: grey, CMYK, palette, alpha, 16-bit, EXIF-rotated and broken files.

Two steps, each of which can be exchanged for a faster one: ``open_rgb`` makes upright RGB of bytes,
``resized`` makes the square. The kind of file is told from its bytes, never from its name (ImageNet has a PNG
named .JPEG).
"""

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from lib.errors import DataError

Resize = Literal["squash", "crop"]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
MAX_PIXELS = 89_478_485  # Pillow's own limit: 256 MiB of RGB; a small file may claim to be far larger
ORIENTATION = 0x0112


def decode(data: bytes, size: int, resize: Resize) -> NDArray[np.uint8]:
    """The picture in ``data`` as uint8 (size, size, 3), RGB.

    ``squash`` makes it square ignoring its aspect; ``crop`` takes the central square. Both are bilinear, and
    average over all the pixels that become one. What is transparent becomes white, as on a page. Of an
    animation, the first frame is taken.

    Raises DataError with the reason when it cannot be decoded.
    """
    try:
        return resized(open_rgb(data, at_least=2 * size), size, resize)
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"it has more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise DataError(f"it is none of {', '.join(FORMATS)}") from None
    except Exception as error:  # broken files make Pillow raise nearly anything: struct.error, SyntaxError, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"it cannot be decoded: {reason}") from None


def open_rgb(data: bytes, at_least: int = 0) -> Image.Image:
    """The picture as upright RGB. A far larger JPEG may come reduced, no side shorter than ``at_least``."""
    if not data:
        raise DataError("it is empty")
    image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise DataError(f"it has {image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
    turned = _is_turned(image)
    if at_least:
        image.draft(None, (at_least, at_least))  # JPEG: decode at 1/2, 1/4 or 1/8 where that still suffices
    rgb = _to_rgb(image)
    return _upright(image, rgb) if turned else rgb


def resized(image: Image.Image, size: int, resize: Resize) -> NDArray[np.uint8]:
    """An RGB picture as uint8 (size, size, 3)."""
    width, height = image.size
    if resize == "squash":
        box = (0.0, 0.0, float(width), float(height))
    else:
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return np.array(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def _to_rgb(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode.startswith("I;16"):  # 16-bit grey: the upper byte, as Pillow itself does for 16-bit RGB
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        over = image.convert("RGBA")
        page = Image.new("RGBA", over.size, "white")
        return Image.alpha_composite(page, over).convert("RGB")
    if image.mode in ("I", "F"):
        raise DataError(f"its pixels are of type {image.mode}, whose range is not defined")
    return image.convert("RGB")  # CMYK JPEGs are already turned to plain CMYK by Pillow, Adobe's are inverted


def _is_turned(image: Image.Image) -> bool:
    try:
        return image.getexif().get(ORIENTATION, 1) in range(2, 9)
    except Exception:  # the note about the camera is broken, the picture need not be
        return False


def _upright(original: Image.Image, rgb: Image.Image) -> Image.Image:
    rgb.getexif()[ORIENTATION] = original.getexif()[ORIENTATION]
    return ImageOps.exif_transpose(rgb)
