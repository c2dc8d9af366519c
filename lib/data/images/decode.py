"""Image bytes in, upright square RGB out: grey, CMYK, palette, alpha, 16-bit, EXIF-rotated and broken files.

Two steps, each of which can be exchanged for a faster one: ``open_rgb`` makes upright RGB of bytes,
``resized`` makes the square. The kind of file is told from its bytes, never from its name (ImageNet has a PNG
named .JPEG).

Pillow reads every header, and every picture but the plain JPEGs that nearly all are: those simplejpeg decodes, to the
same pixels, in less time. What it finds fault with is Pillow's again, so pictures and errors are Pillow's.
"""

import io
from typing import Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from lib.data.images.resampling import Box, resample
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


def open_rgb(data: bytes, at_least: int = 0) -> NDArray[np.uint8]:
    """The picture as upright RGB, uint8 (H, W, 3).

    A far larger JPEG may come reduced, no side shorter than ``at_least``.
    """
    if not data:
        raise DataError("it is empty")
    image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise DataError(f"it has {image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
    turned = _is_turned(image)
    if at_least:
        image.draft(None, (at_least, at_least))  # JPEG: decode at 1/2, 1/4 or 1/8 where that still suffices
    pixels_HWC = None if turned else _plain_jpeg(image, data)
    if pixels_HWC is not None:
        return pixels_HWC
    rgb = _to_rgb(image)
    return np.asarray(_upright(image, rgb) if turned else rgb)


def resized(pixels_HWC: NDArray[np.uint8], size: int, resize: Resize) -> NDArray[np.uint8]:
    """An RGB picture (H, W, 3) as uint8 (size, size, 3)."""
    height, width, _ = pixels_HWC.shape
    if resize == "squash":
        return resample(pixels_HWC, Box(0, 0, width, height), size)
    side = min(width, height)
    return resample(pixels_HWC, Box((width - side) / 2, (height - side) / 2, side, side), size)


def _plain_jpeg(image: Image.Image, data: bytes) -> NDArray[np.uint8] | None:
    """The pixels of a grey or coloured JPEG, at the size that ``image`` was opened to, or None where Pillow is to see
    to it: another kind of file, other colours, or anything odd about it.
    """
    if image.format != "JPEG" or image.mode not in ("L", "RGB"):
        return None
    width, height = image.size
    try:
        pixels_HWC: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width)
    except ValueError:
        return None
    return pixels_HWC if pixels_HWC.shape == (height, width, 3) else None


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
