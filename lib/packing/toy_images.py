"""Draw one toy image: scenery, clutter, and an object with shadow and light, as if photographed.

Only the outline of the object depends on its class. Its colors, texture, place, size, tilt and light, the scenery and
the size of the image are random, with the same distribution for all classes.
"""

import colorsys
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator, Philox, SeedSequence
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .toy_outlines import OUTLINES, Outline, Points, wheel

Floats = NDArray[np.floating[Any]]  # float32 for arrays with one value a pixel

VERSION = 1  # of the images: raise it with every change that alters one, so that old and new are never mixed
SPLITS = ("train", "val")


# --- Patterns: (H, W) in 0 .. 1, for scenery and for objects ---


def _grid(height: int, width: int) -> tuple[Floats, Floats]:
    """Return y (H, 1) and x (1, W), both 0 .. 1."""
    return np.linspace(0, 1, height, dtype=np.float32)[:, None], np.linspace(0, 1, width, dtype=np.float32)[None]


def _stretch(values_HW: Floats) -> Floats:
    low, high = float(values_HW.min()), float(values_HW.max())
    return (values_HW - low) / max(high - low, 1e-6)


def _slope(rng: Generator, height: int, width: int) -> Floats:
    y, x = _grid(height, width)
    angle = rng.uniform(0, 2 * math.pi)
    return _stretch(x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle)))


def _clouds(rng: Generator, height: int, width: int) -> Floats:
    cells = int(rng.integers(3, 9))
    coarse = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
    return _stretch(np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)))


def _waves(rng: Generator, height: int, width: int) -> Floats:
    slope, bend = _slope(rng, height, width), _clouds(rng, height, width)
    return 0.5 + 0.5 * np.sin(np.float32(rng.uniform(20, 60)) * slope + np.float32(rng.uniform(0, 6)) * bend)


def _hills(rng: Generator, height: int, width: int) -> Floats:
    """Return ridges under a bright sky, each darker than the one behind it."""
    y, x = _grid(height, width)
    steps = 0.25 * (1 - y) + np.zeros_like(x)
    for ridge in (0.35, 0.55, 0.75):
        frequency, phase, level = rng.uniform(4, 14), rng.uniform(0, 6), ridge + rng.uniform(-0.1, 0.1)
        steps += 0.25 * (y < level + 0.08 * np.sin(np.float32(frequency) * x + np.float32(phase)))
    return _stretch(steps)


def _bokeh(rng: Generator, height: int, width: int) -> Floats:
    """Return lights out of focus."""
    night = Image.fromarray((110 * _slope(rng, height, width)).astype(np.uint8))
    pen = ImageDraw.Draw(night)
    for _ in range(int(rng.integers(8, 22))):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.03, 0.13) * min(height, width)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(rng.integers(60, 255)))
    blurred = night.filter(ImageFilter.BoxBlur(0.015 * min(height, width)))
    return np.asarray(blurred, dtype=np.float32) / 255


def _steep(wave_HW: Floats) -> Floats:
    """Return 0 below zero and 1 above, with a slope between them for smooth edges."""
    return np.asarray(np.clip(0.5 + 4 * wave_HW, 0, 1))


def _stripes(rng: Generator, height: int, width: int) -> Floats:
    return _steep(np.sin(np.float32(rng.uniform(25, 70)) * _slope(rng, height, width)))


def _dots(rng: Generator, height: int, width: int) -> Floats:
    frequency = np.float32(rng.uniform(30, 70))
    wave = np.sin(frequency * _slope(rng, height, width)) * np.sin(frequency * _slope(rng, height, width))
    return _steep(wave - 0.4)


SCENERY = (_slope, _clouds, _waves, _hills, _bokeh)
TEXTURES = (_slope, _slope, _clouds, _stripes, _dots)


# --- Colors: three make a ramp, which a pattern indexes ---


class Tones(NamedTuple):
    """Brightness and vividness of colors: (least, most) of HSV's value and saturation."""

    values: tuple[float, float]
    saturations: tuple[float, float]


# Objects are vivid and always brighter than the muted scenery. If some were darker, AlexNet, whose initial weights are
# almost zero, would take longer to start learning.
SCENE = Tones(values=(0.30, 0.60), saturations=(0.10, 0.50))
BRIGHT = Tones(values=(0.75, 1.00), saturations=(0.40, 0.95))


def _ramp(rng: Generator, hue: float, tones: Tones) -> Floats:
    """Return three related colors around a hue, from dark to bright: (3, RGB)."""
    hues, saturations = rng.uniform(hue - 0.09, hue + 0.09, 3), rng.uniform(*tones.saturations, 3)
    values = np.sort(rng.uniform(*tones.values, 3))
    rows = [colorsys.hsv_to_rgb(h % 1, s, v) for h, s, v in zip(hues, saturations, values, strict=True)]
    return np.array(rows, dtype=np.float32)


def _luma(colors: Floats) -> Floats:
    """Return the perceived brightness of (..., RGB), 0 .. 1: what a gray photograph shows."""
    return colors @ np.array([0.299, 0.587, 0.114], dtype=np.float32)


def _paler(ramp: Floats, least: float) -> Floats:
    """Return the ramp mixed with white, just enough for every color to have at least this luma."""
    return 1 - (1 - ramp) * np.minimum(1, (1 - least) / np.maximum(1 - _luma(ramp)[:, None], 1e-3))


def _object_ramp(rng: Generator, hue: float, around: float) -> Floats:
    """Return colors for an object that stands out from a background of luma ``around``, also in a gray image."""
    gap = rng.uniform(0.2, 0.3)
    rng.random()  # unused, but without it every image would change
    return _paler(_ramp(rng, hue, BRIGHT), around + gap)


def _paint(pattern_HW: Floats, ramp: Floats) -> Floats:
    """Return the pattern in the colors of the ramp: (H, W, RGB), 0 .. 1."""
    table = [np.interp(np.linspace(0, 1, 256), [0, 0.5, 1], ramp[:, channel]) for channel in range(3)]
    return np.stack(table, axis=1).astype(np.float32)[(pattern_HW * 255).astype(np.uint8)]


# --- The image: scenery, clutter, then one object with its shadow and light ---


def _mask(outline: Outline, to_pixels: Callable[[Points], Points], height: int, width: int) -> Image.Image:
    """Return where the object is, 0 .. 255, with soft edges (drawn at twice the size)."""
    mask = Image.new("L", (2 * width, 2 * height))
    pen = ImageDraw.Draw(mask)
    for points, painted in outline:
        pen.polygon([(x, y) for x, y in 2 * to_pixels(points)], fill=255 if painted else 0)
    return mask.reduce(2)


def _pose(rng: Generator, height: int, width: int) -> Callable[[Points], Points]:
    """Return a map from the object's coordinates to pixels: size, stretch, slant, tilt and place."""
    radius = rng.uniform(0.41, 0.48) * min(height, width)
    stretch, slant, tilt = rng.uniform(0.85, 1.18), rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.15)
    cos, sin = math.cos(tilt), math.sin(tilt)
    shape = np.array([[cos, sin], [-sin, cos]]) @ np.array([[stretch, 0], [slant, 1 / stretch]]) * radius
    place = [rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)]
    return lambda points: points @ shape.T + place


def _clutter(rng: Generator, canvas: Image.Image) -> None:
    """Draw up to seven scraps and twigs, each much smaller than an object."""
    pen, side = ImageDraw.Draw(canvas), min(canvas.size)
    for _ in range(int(rng.integers(0, 8))):
        color = tuple(int(c) for c in rng.integers(0, 256, 3))
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
        if rng.random() < 0.5:
            scrap = wheel(rng.uniform(0.01, 0.06, int(rng.integers(3, 7))) * side, (x, y))
            pen.polygon([(px, py) for px, py in scrap], fill=color)
        else:
            dx, dy = rng.uniform(-0.3, 0.3, 2) * side
            pen.line((x, y, x + dx, y + dy), fill=color, width=max(1, round(side * rng.uniform(0.004, 0.015))))


def _scene(rng: Generator, hue: float, height: int, width: int) -> Floats:
    pattern_HW = SCENERY[int(rng.integers(len(SCENERY)))](rng, height, width)
    canvas = Image.fromarray((255 * _paint(pattern_HW, _ramp(rng, hue, SCENE))).astype(np.uint8))
    _clutter(rng, canvas)
    return np.asarray(canvas, dtype=np.float32) / 255


def _shifted(values_HW: Floats, down: int, right: int) -> Floats:
    """Return the values moved by ``down`` and ``right`` pixels. Edge values are repeated."""
    height, width = values_HW.shape
    rows, columns = np.arange(height) - down, np.arange(width) - right
    return values_HW[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)[None]]


def _with_object(rng: Generator, scene_HWC: Floats, mask: Image.Image, hue: float) -> Floats:
    """Return the scene with the object on it: shadow, texture, and a bevel that catches the light."""
    height, width = scene_HWC.shape[:2]
    mask_HW1 = np.asarray(mask, dtype=np.float32)[..., None] / 255
    around = float(np.average(_luma(scene_HWC), weights=mask_HW1[..., 0]))
    texture_HW = TEXTURES[int(rng.integers(len(TEXTURES)))](rng, height, width)
    object_HWC = _paint(texture_HW, _object_ramp(rng, hue, around))

    depth = 0.02 * min(height, width)
    soft_HW = np.asarray(mask.filter(ImageFilter.BoxBlur(depth)), dtype=np.float32) / 255
    light = rng.uniform(-2.4, -0.7)  # from above, in radians; sometimes from the left, sometimes from the right
    dx, dy = round(-depth * 1.5 * math.cos(light)), round(-depth * 1.5 * math.sin(light))
    away_HW, towards_HW = _shifted(soft_HW, dy, dx), _shifted(soft_HW, -dy, -dx)
    shadowed_HWC = scene_HWC * (1 - 0.45 * away_HW[..., None])
    lit_HWC = object_HWC + 0.25 * (towards_HW - away_HW)[..., None]
    return shadowed_HWC * (1 - mask_HW1) + lit_HWC * mask_HW1


def _photograph(rng: Generator, image_HWC: Floats) -> Image.Image:
    """Add what a camera adds: exposure, grain, and sometimes no color."""
    grain = rng.standard_normal((*image_HWC.shape[:2], 1), dtype=np.float32) * np.float32(rng.uniform(0, 0.03))
    exposed = (image_HWC + grain) * np.float32(rng.uniform(0.9, 1.1))
    image = Image.fromarray((np.clip(exposed, 0, 1) * 255).astype(np.uint8))
    return image.convert("L") if rng.random() < 0.04 else image


def draw_image(seed: int, split: str, class_index: int, index: int) -> Image.Image:
    """Return one image, RGB or gray, with sides of 120 to 360 pixels."""
    rng = Generator(Philox(SeedSequence([seed, SPLITS.index(split), class_index, index])))
    short = round(rng.uniform(120, 270))
    long = round(short * rng.uniform(1, 1.33))
    height, width = (short, long) if rng.random() < 0.6 else (long, short)
    hue = rng.uniform(0, 1)
    other_hue = hue + rng.uniform(0.25, 0.75)
    scene_HWC = _scene(rng, hue, height, width)
    mask = _mask(list(OUTLINES.values())[class_index](), _pose(rng, height, width), height, width)
    return _photograph(rng, _with_object(rng, scene_HWC, mask, other_hue))
