"""``augment.pad``: a window at a random place of the image with a border around it.

The border is zero in the image and in the mean image, so the network sees the mean color there.
Source: arXiv:1512.03385, section 4.2.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...config.schema import AugmentConfig
from .base import Augmentation

# Places are drawn as multiples of 1 / _STEPS, so that their product with a number of offsets is exact in float32.
_STEPS = 2**16


def draw(count: int, img_size: int, augment: AugmentConfig, rng: np.random.Generator) -> NDArray[np.number]:
    """Draw the place of each window down and across, in [0, 1), and append the border in pixels: (N, 3)."""
    places = rng.integers(0, _STEPS, (count, 2)) / _STEPS
    return np.concatenate([places, np.full((count, 1), augment.pad)], axis=1)


def windows(params_B3: Tensor, side: int, size: int) -> Tensor:
    """Return the windows, (B, 4): top, left, height, width. They may begin above or left of the image."""
    pad_B1 = params_B3[:, 2:]
    offsets_B2 = (params_B3[:, :2] * (side - size + 2 * pad_B1 + 1)).floor() - pad_B1
    return torch.cat([offsets_B2, torch.full_like(offsets_B2, size)], dim=1)


def crop(images_BCHW: Tensor, params_B3: Tensor, mirror_B: Tensor, size: int) -> Tensor:
    """Cut the windows, (B, C, size, size), with zeros outside the image, and mirror where ``mirror_B`` is 1."""
    side, steps = images_BCHW.shape[-1], torch.arange(size, device=images_BCHW.device)
    offsets_B2 = windows(params_B3, side, size)[:, :2].long()
    rows_BH1 = (offsets_B2[:, :1] + steps)[:, :, None]
    columns_B1W = (offsets_B2[:, 1:] + torch.where(mirror_B[:, None] == 1, size - 1 - steps, steps))[:, None, :]
    inside_BHW = (rows_BH1 == rows_BH1.clamp(0, side - 1)) & (columns_B1W == columns_B1W.clamp(0, side - 1))
    image_B11 = torch.arange(len(images_BCHW), device=images_BCHW.device)[:, None, None]
    pixels_BHWC = images_BCHW.permute(0, 2, 3, 1)[
        image_B11, rows_BH1.clamp(0, side - 1), columns_B1W.clamp(0, side - 1)
    ]
    return pixels_BHWC.permute(0, 3, 1, 2) * inside_BHW[:, None]


PADDED_CROP = Augmentation(
    key=4, columns=3, enabled=lambda augment: augment.pad > 0, draw=draw, crop=crop, windows=windows
)
