"""Decode image bytes to upright square RGB.

Handles gray, CMYK, palette, alpha, 16-bit, EXIF-rotated and broken files. There are two steps: ``open_rgb`` makes
upright RGB of bytes, ``resized`` makes it square. The format is detected from the bytes, never from the file name:
ImageNet has a PNG named .JPEG.

Pillow reads every header. simplejpeg decodes plain JPEGs, which nearly all are, faster and to the same pixels. Pillow
decodes everything else, also what simplejpeg refuses, so pixels and errors are always those of Pillow.
"""

import contextlib
import ctypes
import functools
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from ...errors import DataError
from .resampling import Box, resample

Resize = Literal["squash", "crop"]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
MAX_PIXELS = 89_478_485  # Pillow's own limit, 256 MiB of RGB: a small file may claim to be far larger
MAX_SIDE = 65_535  # JPEG's limit; the resampler's tables and buffers grow with the longer side
# A progressive JPEG is decoded once for each of its scans, which may be a few bytes each. Usual ones have 10.
MAX_SCANNED_PIXELS = 20 * MAX_PIXELS
_STRIP_PIXELS = 1 << 22
ORIENTATION = 0x0112


def decode(data: bytes, size: int, resize: Resize) -> NDArray[np.uint8]:
    """Decode ``data`` to uint8 (size, size, 3), RGB.

    ``squash`` makes the image square without keeping its aspect ratio; ``crop`` takes the central square. Both resample
    bilinearly with antialiasing. Transparent pixels become white. Of an animation, the first frame is decoded.

    Raises DataError with the reason.
    """
    with _reasons():
        return resized(open_rgb(data, at_least=2 * size), size, resize)


def decode_image(image: Image.Image, size: int, resize: Resize) -> NDArray[np.uint8]:
    """Return an image that Pillow has opened or made as ``decode`` returns that of a file.

    Only a JPEG much larger than ``size`` whose pixels are loaded may differ a little: ``decode`` would have reduced it
    while decoding. Raises DataError with the reason.
    """
    with _reasons():
        if (data := _unread_jpeg(image)) is not None:
            return resized(open_rgb(data, at_least=2 * size), size, resize)
        check_size(image.width, image.height)
        return resized(_upright_rgb(image), size, resize)


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Turn every error into a DataError with the reason."""
    try:
        yield
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"it has more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise DataError(f"it is none of {', '.join(FORMATS)}") from None
    except Exception as error:  # broken files make Pillow raise almost anything: struct.error, SyntaxError, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"it cannot be decoded: {reason}") from None


def open_rgb(data: bytes, at_least: int = 0) -> NDArray[np.uint8]:
    """Decode ``data`` to upright RGB, uint8 (H, W, 3).

    A much larger JPEG may be reduced while it is decoded, with no side below ``at_least``.
    """
    if not data:
        raise DataError("it is empty")
    image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    check_size(image.width, image.height)
    if image.format == "TIFF":
        _silence_libtiff()
    if "progressive" in image.info:
        _check_scans(image, data)
    if at_least:
        image.draft(None, (at_least, at_least))  # JPEG: decode at 1/2, 1/4 or 1/8 where that is large enough
    pixels_HWC = _plain_jpeg(image, data) if _orientation(image) == 1 else None
    return _upright_rgb(image) if pixels_HWC is None else pixels_HWC


@functools.cache
def _silence_libtiff() -> None:
    """Let libtiff print nothing: its lines do not name the file, and Pillow raises an error for what it cannot read."""
    with contextlib.suppress(OSError, AttributeError):  # a system without /proc, or a Pillow without libtiff
        mapped = Path("/proc/self/maps").read_text("utf-8", errors="surrogateescape").splitlines()
        path = next((line.split(maxsplit=5)[5] for line in mapped if "/libtiff" in line), None)
        for kind in ("Error", "Warning"):
            getattr(ctypes.CDLL(path), f"TIFFSet{kind}Handler")(None)


def _upright_rgb(image: Image.Image) -> NDArray[np.uint8]:
    rgb_HWC = _rgb_in_strips(image)
    return _upright(rgb_HWC, _orientation(image))  # a TIFF is upright as soon as it is loaded


def _unread_jpeg(image: Image.Image) -> bytes | None:
    """Return the file of a JPEG that Pillow has opened but not decoded, else None."""
    if not isinstance(image, JpegImageFile) or not image.tile or image.fp is None:
        return None
    position = image.fp.tell()
    image.fp.seek(0)
    data = image.fp.read()
    image.fp.seek(position)
    return data


def check_size(width: int, height: int) -> None:
    """Raise DataError if an image of this size would take too much memory or time."""
    if width * height > MAX_PIXELS:
        raise DataError(f"it has {width} x {height} pixels, more than {MAX_PIXELS:,}")
    if max(width, height) > MAX_SIDE:
        raise DataError(f"it has {width} x {height} pixels, and a side longer than {MAX_SIDE:,}")


def resized(pixels_HWC: NDArray[np.uint8], size: int, resize: Resize) -> NDArray[np.uint8]:
    """Resize an RGB image (H, W, 3) to uint8 (size, size, 3). Raises DataError if it is too large."""
    height, width, _ = pixels_HWC.shape
    check_size(width, height)
    if resize == "squash":
        return resample(pixels_HWC, Box(0, 0, width, height), size)
    side = min(width, height)
    return resample(pixels_HWC, Box((width - side) / 2, (height - side) / 2, side, side), size)


def _check_scans(image: Image.Image, data: bytes) -> None:
    scans = data.count(b"\xff\xda")  # start of scan; within a scan, ff is followed by 00
    if scans * image.width * image.height > MAX_SCANNED_PIXELS:
        raise DataError(f"it has {image.width} x {image.height} pixels in {scans:,} scans, which take too long")


def _plain_jpeg(image: Image.Image, data: bytes) -> NDArray[np.uint8] | None:
    """Decode a gray or color JPEG at the size that ``image`` was opened with.

    Returns None for other formats, other color spaces and whatever simplejpeg refuses: Pillow must decode them.
    """
    if image.format != "JPEG" or image.mode not in ("L", "RGB"):
        return None
    width, height = image.size
    try:
        pixels_HWC: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width)
    except ValueError:
        return None
    return pixels_HWC if pixels_HWC.shape == (height, width, 3) else None


def _rgb_in_strips(image: Image.Image) -> NDArray[np.uint8]:
    """Return ``_to_rgb`` of an image as an array (H, W, 3). Its copies are those of a strip, not of the whole image."""
    image.load()
    rows = max(1, _STRIP_PIXELS // image.width)
    if rows >= image.height:
        return np.asarray(_to_rgb(image))
    pixels_HWC = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        pixels_HWC[top : top + rows] = np.asarray(_to_rgb(strip))
    return pixels_HWC


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # 16-bit gray: take the upper byte, as Pillow does for 16-bit RGB
        gray = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return Image.fromarray(gray).convert("RGB")
    if image.has_transparency_data:
        over = image.convert("RGBA")
        page = Image.new("RGBA", over.size, "white")
        return Image.alpha_composite(page, over).convert("RGB")
    if image.mode in ("I", "F"):
        raise DataError(f"its pixels are of type {image.mode}, whose range is not defined")
    return image.convert("RGB")  # Pillow has inverted the CMYK of Adobe's JPEGs already


def _orientation(image: Image.Image) -> int:
    """Return the orientation that EXIF data name, 1 to 8; 1 is upright."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # broken EXIF data do not make the image unusable
        return 1
    return int(found) if found in range(2, 9) else 1


def _upright(pixels_HWC: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return a view of the image as EXIF's ``orientation`` says that it is seen."""
    if orientation > 4:
        pixels_HWC = pixels_HWC.swapaxes(0, 1)
    return pixels_HWC[:: -1 if orientation in (3, 4, 7, 8) else 1, :: -1 if orientation in (2, 3, 6, 7) else 1]
