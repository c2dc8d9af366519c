"""Draw images that cost a decoder as much as photographs: sizes of ImageNet, and detail at every scale."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Width and height. Most of ImageNet is 500 pixels wide, and the median image is 500 x 375.
_SIZES = ((500, 375), (500, 375), (375, 500), (500, 375), (500, 333), (500, 334), (333, 500), (640, 480), (400, 300))
_GRAIN = 5.0


def draw_photographs(folder: Path, count: int, seed: int = 0) -> None:
    """Write ``count`` JPEGs of quality 90 into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        width, height = _SIZES[number % len(_SIZES)]
        Image.fromarray(photograph(rng, width, height)).save(folder / f"{number:05d}.jpg", quality=90)


def photograph(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """Return noise of every wavelength, stronger for longer ones as in nature; uint8 (H, W, 3)."""
    image_HWC = np.full((height, width, 3), 128.0, np.float32)
    strength, cells = 60.0, 3
    while cells < width:
        coarse = rng.standard_normal((cells, cells, 3)).astype(np.float32)
        for channel in range(3):
            plane = Image.fromarray(coarse[..., channel]).resize((width, height), Image.Resampling.BICUBIC)
            image_HWC[..., channel] += strength * np.asarray(plane)
        strength, cells = strength * 0.55, cells * 2
    image_HWC += _GRAIN * rng.standard_normal((height, width, 1), dtype=np.float32)
    return image_HWC.clip(0, 255).astype(np.uint8)
