import contextlib
import io
from collections.abc import Sequence
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from lib.data.images import decode as module
from lib.data.images.datum import Datum, read_datum
from lib.data.images.decode import Resize, decode, open_rgb, resized
from lib.errors import DataError

SIZE = 32
RED, GREEN, BLUE, WHITE = (230, 20, 30), (20, 200, 40), (30, 40, 220), (255, 255, 255)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def quadrants(width: int = 64, height: int = 48) -> Image.Image:
    """Return an image that is red and green above, blue and white below."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    pixels[height // 2 :, width // 2 :] = WHITE
    return Image.fromarray(pixels)


def corners(image_HWC: np.ndarray) -> list[np.ndarray]:
    q = SIZE // 4
    return [image_HWC[y, x].astype(int) for y in (q, 3 * q) for x in (q, 3 * q)]


def assert_quadrants(
    image_HWC: np.ndarray, expected: Sequence[tuple[int, ...]] = (RED, GREEN, BLUE, WHITE), within: int = 6
) -> None:
    assert image_HWC.shape == (SIZE, SIZE, 3)
    assert image_HWC.dtype == np.uint8
    for found, color in zip(corners(image_HWC), expected, strict=True):
        assert np.abs(found - color).max() <= within, (found, color)


@pytest.mark.parametrize("resize", ["squash", "crop"])
@pytest.mark.parametrize(
    ("kind", "options", "within"),
    [
        ("JPEG", {"quality": 95}, 6),
        ("JPEG", {"quality": 95, "progressive": True}, 6),
        ("JPEG", {"quality": 95, "keep_rgb": True}, 6),
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("PPM", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 12),
    ],
)
def test_each_format_decodes_to_its_pixels(kind: str, options: dict[str, Any], within: int, resize: Resize) -> None:
    assert_quadrants(decode(encoded(quadrants(), kind, **options), SIZE, resize), within=within)


def test_inverted_cmyk_of_adobe_becomes_rgb() -> None:
    data = encoded(quadrants().convert("CMYK"), "JPEG", quality=97)
    assert b"Adobe" in data
    assert_quadrants(decode(data, SIZE, "squash"), within=10)


def test_palettes_become_rgb_with_and_without_transparency() -> None:
    palette = quadrants().quantize(4)
    assert_quadrants(decode(encoded(palette, "PNG"), SIZE, "squash"))
    red = palette.getpixel((1, 1))
    data = encoded(palette, "PNG", transparency=red)
    assert_quadrants(decode(data, SIZE, "squash"), (WHITE, GREEN, BLUE, WHITE))
    assert_quadrants(decode(encoded(palette, "GIF"), SIZE, "squash"))


def test_transparent_pixels_become_white() -> None:
    image = quadrants().convert("RGBA")
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:24, :32] = 0
    alpha[24:, :32] = 128
    image.putalpha(Image.fromarray(alpha))
    half = tuple(round(255 + (c - 255) * 128 / 255) for c in BLUE)
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        found = decode(encoded(image, kind, **options), SIZE, "squash")
        assert_quadrants(found, (WHITE, GREEN, half, WHITE), within=1)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "CMYK"])
def test_a_large_image_becomes_rgb_in_strips_of_the_same_pixels(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 1 << 16, (50, 40), np.uint16))
    else:
        channels = {"RGBA": 4, "CMYK": 4, "LA": 2, "P": 3}[mode]
        image = Image.fromarray(rng.integers(0, 256, (50, 40, channels), np.uint8), None if mode == "P" else mode)
    options = {}
    if mode == "P":
        image, options = image.quantize(16), {"transparency": 3}
    data = encoded(image, "TIFF" if mode == "CMYK" else "PNG", **options)
    whole = open_rgb(data)
    monkeypatch.setattr(module, "_STRIP_PIXELS", 7 * 40)
    assert (open_rgb(data) == whole).all()


def test_gray_becomes_three_equal_channels() -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)[None].repeat(48, 0)
    wide = Image.fromarray(ramp.astype(np.uint16) * 257)
    images = {
        "grey JPEG": encoded(Image.fromarray(ramp), "JPEG", quality=95),
        "grey PNG": encoded(Image.fromarray(ramp), "PNG"),
        "16-bit PNG": encoded(wide, "PNG"),
        "grey with alpha": encoded(Image.fromarray(ramp).convert("LA"), "PNG"),
    }
    expected = np.asarray(Image.fromarray(ramp).resize((SIZE, SIZE), Image.Resampling.BILINEAR)).astype(int)
    for name, data in images.items():
        found = decode(data, SIZE, "squash").astype(int)
        assert np.abs(found - expected[..., None]).max() <= 3, name


def test_black_and_white_images_become_rgb() -> None:
    bits = Image.fromarray(np.kron([[0, 1], [1, 0]], np.ones((8, 8))).astype(bool))
    black = (0, 0, 0)
    assert_quadrants(decode(encoded(bits, "PNG"), SIZE, "squash"), (black, WHITE, WHITE, black))


ROTATED = {  # EXIF orientation -> where red, green, blue and white are after the rotation
    1: (RED, GREEN, BLUE, WHITE),
    2: (GREEN, RED, WHITE, BLUE),
    3: (WHITE, BLUE, GREEN, RED),
    4: (BLUE, WHITE, RED, GREEN),
    5: (RED, BLUE, GREEN, WHITE),
    6: (BLUE, RED, WHITE, GREEN),
    7: (WHITE, GREEN, BLUE, RED),
    8: (GREEN, WHITE, RED, BLUE),
}


@pytest.mark.parametrize(("orientation", "expected"), ROTATED.items())
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation_is_applied(orientation: int, expected: Sequence[tuple[int, ...]], kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(quadrants(), kind, exif=exif, quality=95)
    assert_quadrants(decode(data, SIZE, "squash"), expected, within=14)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_broken_exif_does_not_break_the_image(exif: bytes) -> None:
    assert_quadrants(decode(encoded(quadrants(), "JPEG", exif=exif, quality=95), SIZE, "squash"))


def test_squash_keeps_everything_and_crop_the_center() -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 255
    data = encoded(Image.fromarray(pixels), "PNG")
    assert (decode(data, 20, "crop") == 255).all()
    squashed = decode(data, 30, "squash")
    assert (squashed[:, 11:19] == 255).all()
    assert (squashed[:, :9] == 0).all()
    assert (squashed[:, 21:] == 0).all()


def test_crop_resizes_the_short_side_and_takes_the_center() -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (16, 24, 3), np.uint8)).resize((96, 64), Image.Resampling.BICUBIC)
    whole = np.asarray(image.resize((48, 32), Image.Resampling.BILINEAR)).astype(int)
    found = decode(encoded(image, "PNG"), 32, "crop").astype(int)
    assert np.abs(found - whole[:, 8:40]).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 3000), (7, 5)])
@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_odd_sizes_are_resized(size: tuple[int, int], resize: Resize) -> None:
    data = encoded(Image.new("RGB", size, RED), "PNG")
    assert (decode(data, SIZE, resize) == RED).all()


def test_a_large_jpeg_that_is_reduced_while_decoding_stays_close() -> None:
    image = quadrants().resize((1024, 700), Image.Resampling.BICUBIC)
    data = encoded(image, "JPEG", quality=95)
    exact = np.asarray(Image.open(io.BytesIO(data)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)).astype(int)
    difference = np.abs(decode(data, SIZE, "squash").astype(int) - exact)
    assert difference.max() <= 16  # at hard edges
    assert difference.mean() < 1


def test_truncated_empty_and_other_files_are_refused_with_the_reason() -> None:
    whole = encoded(quadrants(), "JPEG", quality=95)
    png = encoded(quadrants(), "PNG")
    broken = {
        b"": "it is empty",
        b"\xff\xd8\xff": "it ",
        whole[: len(whole) // 2]: "runcated",
        png[:-30]: "it cannot be decoded",
        b"GIF89a": "it ",
        b"%!PS-Adobe-3.0 EPSF-3.0\n": "it is none of JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM",
        b"<html>not found</html>": "it is none of",
    }
    for data, message in broken.items():
        with pytest.raises(DataError, match=message) as error:
            decode(data, SIZE, "squash")
        assert "\n" not in str(error.value)
        assert "0x" not in str(error.value)  # no memory addresses: skipped.txt must be the same every time


def test_a_damaged_tiff_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encoded(quadrants(), "TIFF", compression="tiff_lzw"))
    data[8:100] = bytes(range(100, 192))  # its first codes
    with pytest.raises(DataError, match="it cannot be decoded"):
        decode(bytes(data), SIZE, "squash")
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore")
def test_any_damage_gives_a_data_error_or_an_image() -> None:
    rng = np.random.default_rng(1)
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"):
        whole = encoded(quadrants(), kind)
        for _ in range(60):
            data = bytearray(whole)
            for place in rng.integers(0, len(data), 4):
                data[place] = rng.integers(0, 256)
            with contextlib.suppress(DataError):
                assert decode(bytes(data), SIZE, "crop").shape == (SIZE, SIZE, 3)


def test_an_image_that_claims_to_be_huge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(bomb) < 100_000
    with pytest.raises(DataError, match="more than 89,478,485"):
        decode(bomb, SIZE, "squash")
    monkeypatch.setattr(module, "MAX_PIXELS", 100)
    with pytest.raises(DataError, match="64 x 48 pixels, more than 100"):
        decode(encoded(quadrants(), "PNG"), SIZE, "squash")


@pytest.mark.parametrize("size", [(4_000_000, 1), (1, 4_000_000), (65_536, 2)])
def test_an_image_with_a_very_long_side_is_refused(size: tuple[int, int]) -> None:
    line = encoded(Image.new("RGB", size), "PNG")
    assert len(line) < 30_000
    with pytest.raises(DataError, match=f"it has {size[0]} x {size[1]} pixels, and a side longer than 65,535"):
        decode(line, SIZE, "squash")
    with pytest.raises(DataError, match="a side longer than 65,535"):
        resized(np.zeros((size[1], size[0], 3), np.uint8), SIZE, "squash")
    with pytest.raises(DataError, match="a side longer than 65,535"):
        read_datum(Datum(channels=1, height=size[1], width=size[0], data=bytes(size[0] * size[1])).SerializeToString())


@pytest.mark.parametrize("size", [(65_535, 1), (1, 65_535)])
def test_the_longest_side_is_resized(size: tuple[int, int]) -> None:
    assert (decode(encoded(Image.new("RGB", size, RED), "PNG"), SIZE, "squash") == RED).all()


def test_a_progressive_jpeg_of_too_many_scans_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(quadrants(), "JPEG", progressive=True)
    scans = data.count(b"\xff\xda")
    monkeypatch.setattr(module, "MAX_SCANNED_PIXELS", scans * 64 * 48)
    assert_quadrants(decode(data, SIZE, "squash"), within=20)
    first = data.index(b"\xff\xda")
    with pytest.raises(DataError, match=f"it has 64 x 48 pixels in {scans + 1} scans, which take too long"):
        decode(data[:first] + b"\xff\xda\0\x08" + data[first:], SIZE, "squash")
    baseline = encoded(quadrants(), "JPEG", comment=b"\xff\xda" * 2 * scans)  # bytes of a comment are no scans
    assert_quadrants(decode(baseline, SIZE, "squash"), within=20)


def natural(width: int = 700, height: int = 520) -> Image.Image:
    """Return smooth shapes with some grain, like a photograph."""
    rng = np.random.default_rng(3)
    shapes = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
    smooth = np.asarray(shapes.resize((width, height), Image.Resampling.BICUBIC))
    return Image.fromarray(np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"quality": 30}], ids=str
)
@pytest.mark.parametrize("at_least", [0, 100, 300])
def test_the_fast_decoder_gives_plain_jpegs_the_pixels_of_pillow(
    mode: str, options: dict[str, Any], at_least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(natural().convert(mode), "JPEG", **options)
    image = Image.open(io.BytesIO(data))
    image.draft(None, (at_least, at_least) if at_least else image.size)
    expected = np.asarray(image.convert("RGB"))
    monkeypatch.setattr(module, "_rgb_in_strips", lambda image: pytest.fail("Pillow decoded it"))
    found = open_rgb(data, at_least)
    assert found.shape == expected.shape
    assert (found == expected).all()


@pytest.mark.parametrize("odd", ["turned", "CMYK", "end cut off", "rubbish inside"])
def test_other_jpegs_are_decoded_by_pillow(odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6 if odd == "turned" else 1
    data = encoded(natural().convert("CMYK" if odd == "CMYK" else "RGB"), "JPEG", exif=exif)
    data = data[:-2] if odd == "end cut off" else data
    data = data[:20_000] + b"\xff\xd9" + data[20_002:] if odd == "rubbish inside" else data
    to_rgb = Mock(wraps=module._rgb_in_strips)
    monkeypatch.setattr(module, "_rgb_in_strips", to_rgb)
    with contextlib.suppress(DataError):
        decode(data, SIZE, "squash")
    to_rgb.assert_called()
