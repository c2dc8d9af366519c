"""The outlines of the ten objects of the toy data set. Nothing else distinguishes its classes."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating[Any]]  # (n, 2): x to the right and y down; an object fills -1 .. 1
Outline = list[tuple[Points, bool]]  # polygons in drawing order, each painted (True) or cut out (False)


def wheel(radii: Sequence[float] | Points, center: tuple[float, float] = (0, 0)) -> Points:
    """Return points at these distances from the center, at equal angles, clockwise from the top."""
    angles = np.linspace(0, 2 * math.pi, len(radii), endpoint=False)
    return np.asarray(np.stack([np.sin(angles), -np.cos(angles)], axis=1) * np.asarray(radii)[:, None] + center)


def _circle(radius: float, center: tuple[float, float] = (0, 0)) -> Points:
    return wheel([radius] * 64, center)


def _box(left: float, top: float, width: float, height: float) -> Points:
    return np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * [width, height] + [left, top]


def _arrow() -> Outline:
    right = np.array([(0, -1), (0.85, -0.1), (0.32, -0.1), (0.32, 1)])
    return [(np.concatenate([right, right[::-1] * [-1, 1]]), True)]


def _chessboard() -> Outline:
    return [(_box(0.6 * x - 0.9, 0.6 * y - 0.9, 0.6, 0.6), (x + y) % 2 == 0) for x in range(3) for y in range(3)]


def _flower() -> Outline:
    petals = 0.72 + 0.28 * np.cos(6 * np.linspace(0, 2 * math.pi, 96, endpoint=False))
    return [(wheel(petals), True), (_circle(0.24), False)]


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
    "star": lambda: [(wheel([1.05, 0.44] * 5), True)],
    "triangle": lambda: [(wheel([1.15] * 3, (0, 0.2)), True)],
}


def wnid(class_index: int) -> str:
    """Return an ID like WordNet's, whose own numbers end far below 90 million."""
    return f"n{90_000_001 + class_index}"
