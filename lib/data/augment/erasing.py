"""``augment.erasing``: cover a random rectangle with a random color.

Source: arXiv:1708.04896, with a color for the rectangle instead of each pixel, and timm's smaller largest area.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...config.schema import AugmentConfig
from .base import Augmentation
from .rectangle import inside

AREA = (0.02, 1 / 3)
RATIO = (0.3, 1 / 0.3)


def draw(count: int, img_size: int, augment: AugmentConfig, rng: np.random.Generator) -> NDArray[np.number]:
    """Draw rectangles, (top, left, height, width) as shares of the side, and red, green and blue: (N, 7).

    An image that is not erased has a rectangle of height and width 0.
    """
    erased = rng.random((count, 1)) < augment.erasing
    area = rng.uniform(*AREA, count)
    ratio = np.exp(rng.uniform(np.log(RATIO[0]), np.log(RATIO[1]), count))
    sizes = np.stack([np.sqrt(area * ratio), np.sqrt(area / ratio)], axis=1).clip(max=1) * erased
    corners = rng.random((count, 2)) * (1 - sizes)
    return np.concatenate([corners, sizes, rng.uniform(0, 255, (count, 3))], axis=1)


def apply(images_BCHW: Tensor, params_B7: Tensor) -> Tensor:
    """Give the color to the pixels whose center lies in the rectangle."""
    inside_B1HW = inside(params_B7[:, :4], images_BCHW.shape[-1])
    return torch.where(inside_B1HW, params_B7[:, 4:, None, None], images_BCHW)


ERASING = Augmentation(key=5, columns=7, enabled=lambda augment: augment.erasing > 0, draw=draw, apply=apply)
