"""Draw a toy data set: JPEGs of ten kinds of objects, in folders laid out like ImageNet's.

    python -m preprocessing.draw_toy_images FOLDER [--train-images 2560] [--val-images 640] [--seed 1]

Only the outline of the object tells its class. Its colours, texture, place, size, tilt and light, the scenery and
the clutter on it, and the picture's own size are drawn by chance, alike for all classes. Each picture is a pure
function of (seed, split, class, index): any number of processes draws the same files, and an interrupted drawing
is completed by running it again.
"""

import argparse
import colorsys
import contextlib
import functools
import json
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator, Philox, SeedSequence
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from lib.errors import DataError, UserError

Floats = NDArray[np.floating[Any]]  # float32 wherever there is one a pixel
Points = NDArray[np.floating[Any]]  # (n, 2): x to the right and y down; an object fills -1 .. 1
Outline = list[tuple[Points, bool]]  # polygons, one over the other, each painted (True) or cut out (False)

VERSION = 1  # of the pictures: raise it with any change that alters one, so that old and new never mix
SPLITS = ("train", "val")
BEGUN, FINISHED = "drawing.json", "drawn.json"


# --- Outlines: the one thing that differs between classes ---


def _wheel(radii: Sequence[float] | Points, centre: tuple[float, float] = (0, 0)) -> Points:
    """Points at these distances from the centre, clockwise from the top, equal angles apart."""
    angles = np.linspace(0, 2 * math.pi, len(radii), endpoint=False)
    return np.asarray(np.stack([np.sin(angles), -np.cos(angles)], axis=1) * np.asarray(radii)[:, None] + centre)


def _circle(radius: float, centre: tuple[float, float] = (0, 0)) -> Points:
    return _wheel([radius] * 64, centre)


def _box(left: float, top: float, width: float, height: float) -> Points:
    return np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * [width, height] + [left, top]


def _arrow() -> Outline:
    right = np.array([(0, -1), (0.85, -0.1), (0.32, -0.1), (0.32, 1)])
    return [(np.concatenate([right, right[::-1] * [-1, 1]]), True)]


def _chessboard() -> Outline:
    return [(_box(0.6 * x - 0.9, 0.6 * y - 0.9, 0.6, 0.6), (x + y) % 2 == 0) for x in range(3) for y in range(3)]


def _flower() -> Outline:
    petals = 0.72 + 0.28 * np.cos(6 * np.linspace(0, 2 * math.pi, 96, endpoint=False))
    return [(_wheel(petals), True), (_circle(0.24), False)]


def _heart() -> Outline:
    t = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return [(np.stack([16 * np.sin(t) ** 3, -y - 2.5], axis=1) / 16, True)]


OUTLINES: dict[str, Callable[[], Outline]] = {
    "arrow": _arrow,
    "ball": lambda: [(_circle(0.9), True)],
    "chessboard": _chessboard,
    "cross": lambda: [(_box(-1, -0.3, 2, 0.6), True), (_box(-0.3, -1, 0.6, 2), True)],
    "flower": _flower,
    "heart": _heart,
    "moon": lambda: [(_circle(1.0), True), (_circle(0.8, (0.5, -0.1)), False)],
    "ring": lambda: [(_circle(1.0), True), (_circle(0.58), False)],
    "star": lambda: [(_wheel([1.05, 0.44] * 5), True)],
    "triangle": lambda: [(_wheel([1.15] * 3, (0, 0.2)), True)],
}


def wnid(class_index: int) -> str:
    """A name in the manner of WordNet's, whose own numbers end far below 90 million."""
    return f"n{90_000_001 + class_index}"


# --- Patterns: (H, W) in 0 .. 1, for scenery and for objects ---


def _grid(height: int, width: int) -> tuple[Floats, Floats]:
    """y (H, 1) and x (1, W), both 0 .. 1."""
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
    """Ridges one before the other, each a step darker, under a bright sky."""
    y, x = _grid(height, width)
    steps = 0.25 * (1 - y) + np.zeros_like(x)
    for ridge in (0.35, 0.55, 0.75):
        pace, phase, level = rng.uniform(4, 14), rng.uniform(0, 6), ridge + rng.uniform(-0.1, 0.1)
        steps += 0.25 * (y < level + 0.08 * np.sin(np.float32(pace) * x + np.float32(phase)))
    return _stretch(steps)


def _bokeh(rng: Generator, height: int, width: int) -> Floats:
    """Lights out of focus."""
    night = Image.fromarray((110 * _slope(rng, height, width)).astype(np.uint8))
    pen = ImageDraw.Draw(night)
    for _ in range(int(rng.integers(8, 22))):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.03, 0.13) * min(height, width)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(rng.integers(60, 255)))
    blurred = night.filter(ImageFilter.BoxBlur(0.015 * min(height, width)))
    return np.asarray(blurred, dtype=np.float32) / 255


def _steep(wave_HW: Floats) -> Floats:
    """0 below zero and 1 above, with a slope between, for edges without jags."""
    return np.asarray(np.clip(0.5 + 4 * wave_HW, 0, 1))


def _stripes(rng: Generator, height: int, width: int) -> Floats:
    return _steep(np.sin(np.float32(rng.uniform(25, 70)) * _slope(rng, height, width)))


def _dots(rng: Generator, height: int, width: int) -> Floats:
    pace = np.float32(rng.uniform(30, 70))
    wave = np.sin(pace * _slope(rng, height, width)) * np.sin(pace * _slope(rng, height, width))
    return _steep(wave - 0.4)


SCENERY = (_slope, _clouds, _waves, _hills, _bokeh)
TEXTURES = (_slope, _slope, _clouds, _stripes, _dots)


# --- Colours: three of them make a ramp, which a pattern indexes ---


class Tones(NamedTuple):
    """How bright and how vivid colours are: (least, most) of HSV's value and saturation."""

    values: tuple[float, float]
    saturations: tuple[float, float]


# Vivid objects before muted scenery, seven in ten brighter than it and three darker. Were it as often the one as
# the other, AlexNet's first weights, nearly zero, would take half as long again to catch on to anything.
SCENE = Tones(values=(0.30, 0.60), saturations=(0.10, 0.50))
BRIGHT = Tones(values=(0.75, 1.00), saturations=(0.40, 0.95))
DARK = Tones(values=(0.20, 0.50), saturations=(0.60, 1.00))
DARK_OBJECTS = 0.1


def _ramp(rng: Generator, hue: float, tones: Tones) -> Floats:
    """(3, RGB): three related colours round a hue, from dark to bright."""
    hues, saturations = rng.uniform(hue - 0.09, hue + 0.09, 3), rng.uniform(*tones.saturations, 3)
    values = np.sort(rng.uniform(*tones.values, 3))
    rows = [colorsys.hsv_to_rgb(h % 1, s, v) for h, s, v in zip(hues, saturations, values, strict=True)]
    return np.array(rows, dtype=np.float32)


def _luma(colours: Floats) -> Floats:
    """How bright (..., RGB) is to the eye, 0 .. 1: what is left of it in a grey photograph."""
    return colours @ np.array([0.299, 0.587, 0.114], dtype=np.float32)


def _paler(ramp: Floats, least: float) -> Floats:
    """The ramp mixed with white, as far as it takes for every colour to have at least this luma."""
    return 1 - (1 - ramp) * np.minimum(1, (1 - least) / np.maximum(1 - _luma(ramp)[:, None], 1e-3))


def _darker(ramp: Floats, most: float) -> Floats:
    return ramp * np.minimum(1, most / np.maximum(_luma(ramp)[:, None], 1e-3))


def _object_ramp(rng: Generator, hue: float, around: float) -> Floats:
    """Colours for an object that stands out, in a grey picture too, from a background of luma `around`."""
    gap = rng.uniform(0.2, 0.3)
    if rng.random() < DARK_OBJECTS:
        return _darker(_ramp(rng, hue, DARK), around - gap)
    return _paler(_ramp(rng, hue, BRIGHT), around + gap)


def _paint(pattern_HW: Floats, ramp: Floats) -> Floats:
    """(H, W, RGB), 0 .. 1."""
    table = [np.interp(np.linspace(0, 1, 256), [0, 0.5, 1], ramp[:, channel]) for channel in range(3)]
    return np.stack(table, axis=1).astype(np.float32)[(pattern_HW * 255).astype(np.uint8)]


# --- The picture: scenery, clutter, then one object with its shadow and light ---


def _mask(outline: Outline, to_pixels: Callable[[Points], Points], height: int, width: int) -> Image.Image:
    """Where the object is, 0 .. 255, with soft edges (drawn at twice the size)."""
    mask = Image.new("L", (2 * width, 2 * height))
    pen = ImageDraw.Draw(mask)
    for points, painted in outline:
        pen.polygon([(x, y) for x, y in 2 * to_pixels(points)], fill=255 if painted else 0)
    return mask.reduce(2)


def _pose(rng: Generator, height: int, width: int) -> Callable[[Points], Points]:
    """A map from the object's coordinates to pixels: size, stretch, slant, tilt and place."""
    radius = rng.uniform(0.41, 0.48) * min(height, width)
    stretch, slant, tilt = rng.uniform(0.85, 1.18), rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.15)
    cos, sin = math.cos(tilt), math.sin(tilt)
    shape = np.array([[cos, sin], [-sin, cos]]) @ np.array([[stretch, 0], [slant, 1 / stretch]]) * radius
    place = [rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)]
    return lambda points: points @ shape.T + place


def _clutter(rng: Generator, canvas: Image.Image) -> None:
    """Up to seven scraps and twigs, each much smaller than an object."""
    pen, side = ImageDraw.Draw(canvas), min(canvas.size)
    for _ in range(int(rng.integers(0, 8))):
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
        if rng.random() < 0.5:
            scrap = _wheel(rng.uniform(0.01, 0.06, int(rng.integers(3, 7))) * side, (x, y))
            pen.polygon([(px, py) for px, py in scrap], fill=colour)
        else:
            dx, dy = rng.uniform(-0.3, 0.3, 2) * side
            pen.line((x, y, x + dx, y + dy), fill=colour, width=max(1, round(side * rng.uniform(0.004, 0.015))))


def _scene(rng: Generator, hue: float, height: int, width: int) -> Floats:
    pattern_HW = SCENERY[int(rng.integers(len(SCENERY)))](rng, height, width)
    canvas = Image.fromarray((255 * _paint(pattern_HW, _ramp(rng, hue, SCENE))).astype(np.uint8))
    _clutter(rng, canvas)
    return np.asarray(canvas, dtype=np.float32) / 255


def _shifted(values_HW: Floats, down: int, right: int) -> Floats:
    """Moved by so many pixels; what moves in from outside repeats the edge."""
    height, width = values_HW.shape
    rows, columns = np.arange(height) - down, np.arange(width) - right
    return values_HW[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)[None]]


def _with_object(rng: Generator, scene_HWC: Floats, mask: Image.Image, hue: float) -> Floats:
    """The scene with the object on it: a shadow below, the texture, and a bevel that catches the light."""
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


def _photograph(rng: Generator, picture_HWC: Floats) -> Image.Image:
    """What a camera adds: exposure, grain, and now and then no colour."""
    grain = rng.standard_normal((*picture_HWC.shape[:2], 1), dtype=np.float32) * np.float32(rng.uniform(0, 0.03))
    exposed = (picture_HWC + grain) * np.float32(rng.uniform(0.9, 1.1))
    image = Image.fromarray((np.clip(exposed, 0, 1) * 255).astype(np.uint8))
    return image.convert("L") if rng.random() < 0.04 else image


def picture(seed: int, split: str, class_index: int, index: int) -> Image.Image:
    """One picture, RGB or grey, its sides 120 to 360 pixels."""
    rng = Generator(Philox(SeedSequence([seed, SPLITS.index(split), class_index, index])))
    short = round(rng.uniform(120, 270))
    long = round(short * rng.uniform(1, 1.33))
    height, width = (short, long) if rng.random() < 0.6 else (long, short)
    hue = rng.uniform(0, 1)
    other_hue = hue + rng.uniform(0.25, 0.75)
    scene_HWC = _scene(rng, hue, height, width)
    mask = _mask(list(OUTLINES.values())[class_index](), _pose(rng, height, width), height, width)
    return _photograph(rng, _with_object(rng, scene_HWC, mask, other_hue))


# --- The folder ---


class Job(NamedTuple):
    """One picture and its place, relative to the folder."""

    path: Path
    split: str
    class_index: int
    number: int


def _jobs(split: str, images: int, classes: int) -> list[Job]:
    """Balanced: picture i shows class i modulo `classes`."""
    numbered = [(i % classes, i // classes) for i in range(images)]
    return [Job(Path(split, wnid(c), f"{wnid(c)}_{n}.JPEG"), split, c, n) for c, n in numbered]


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Aside first: under its own name a file is always whole."""
    aside = path.with_name(f".{path.name}.part")
    write(aside)
    aside.replace(path)


def _write_json(path: Path, content: dict[str, int]) -> None:
    _write(path, lambda aside: aside.write_text(json.dumps(content, indent=1) + "\n"))


def _draw_share(folder: Path, seed: int, jobs: Sequence[Job]) -> None:
    """What one process does; Ctrl-C reaches it as well as its parent, which is the one to tell of it."""
    with contextlib.suppress(KeyboardInterrupt):
        for path, split, class_index, number in jobs:
            image = picture(seed, split, class_index, number)
            _write(folder / path, functools.partial(image.save, format="JPEG", quality=90))


def _draw_all(folder: Path, seed: int, jobs: Sequence[Job], processes: int) -> None:
    """Shares are dealt out beforehand: a process that needs to ask for nothing cannot hang when its parent dies."""
    if processes == 1:
        return _draw_share(folder, seed, jobs)
    context = multiprocessing.get_context("spawn")
    shares = [jobs[k::processes] for k in range(processes)]
    team = [context.Process(target=_draw_share, args=(folder, seed, share), daemon=True) for share in shares]
    for process in team:
        process.start()
    for process in team:
        process.join()
    if failed := [process.exitcode for process in team if process.exitcode]:
        raise DataError(f"{folder}: {len(failed)} of {processes} drawing processes ended with {failed}; see above")
    return None


def _parameters(counts: dict[str, int], seed: int, classes: int) -> dict[str, int]:
    """All that the pictures depend on."""
    return {"version": VERSION, "seed": seed, "classes": classes, **counts}


def _claim(folder: Path, parameters: dict[str, int]) -> None:
    """Make sure that the folder holds this drawing, begun or finished, or nothing at all."""
    for path in (folder / FINISHED, folder / BEGUN):
        if path.exists():
            if (found := path.read_text()) == json.dumps(parameters, indent=1) + "\n":
                return
            raise DataError(
                f"{folder} holds another drawing, {' '.join(found.split())}, not {json.dumps(parameters)}: "
                "name another folder, or delete this one"
            )
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} holds files that were not drawn by this program: name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / BEGUN, parameters)


def draw(
    folder: Path,
    *,
    train_images: int,
    val_images: int,
    seed: int,
    classes: int = len(OUTLINES),
    processes: int | None = None,
) -> None:
    """Draw what is still missing, with `processes` processes (default: one a core)."""
    counts = {"train": train_images, "val": val_images}
    if not 2 <= classes <= len(OUTLINES):
        raise DataError(f"{classes} classes: 2 to {len(OUTLINES)} can be drawn")
    if seed < 0 or min(counts.values()) < classes:
        raise DataError(f"seed {seed}, images {counts}: 0 or more, and at least one image of each of {classes} classes")
    _claim(folder, _parameters(counts, seed, classes))

    jobs = [job for split in SPLITS for job in _jobs(split, counts[split], classes)]
    missing = [job for job in jobs if not (folder / job.path).exists()]
    for directory in {folder / job.path.parent for job in missing}:
        directory.mkdir(parents=True, exist_ok=True)
    # A process costs about a third of a second to start: time for 50 pictures.
    useful = 1 + len(missing) // 50
    _draw_all(folder, seed, missing, min(useful, processes or len(os.sched_getaffinity(0))))

    words = "".join(f"{wnid(i)} {name}\n" for i, name in enumerate(list(OUTLINES)[:classes]))
    _write(folder / "words.txt", lambda aside: aside.write_text(words))
    if (folder / BEGUN).exists():
        (folder / BEGUN).replace(folder / FINISHED)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Draw a toy data set, laid out like ImageNet.")
    parser.add_argument("folder", type=Path, help="where to draw: FOLDER/train, FOLDER/val, FOLDER/words.txt")
    parser.add_argument("--train-images", type=int, default=2560, help="default: %(default)s")
    parser.add_argument("--val-images", type=int, default=640, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other pictures; default: %(default)s")
    parser.add_argument("--classes", type=int, default=len(OUTLINES), help="2 to %(default)s; default: %(default)s")
    settings = vars(parser.parse_args(arguments))
    start = time.perf_counter()
    try:
        draw(**settings)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    images = settings["train_images"] + settings["val_images"]
    seconds = time.perf_counter() - start
    print(f"{settings['folder']}: {images} pictures of {settings['classes']} classes, {seconds:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
