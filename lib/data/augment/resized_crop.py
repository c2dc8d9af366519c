"""``augment.crop: resized``: a window of random area and aspect ratio, resized to the input of the network.

Source: fb.resnet.torch, RandomSizedCrop, with the ratio drawn uniformly on a logarithmic scale as torchvision does.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...config.schema import AugmentConfig
from .base import Augmentation

AREA = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
# A window that is longer than the image is drawn again, this many times in all.
_TRIES = 10


def draw(count: int, img_size: int, augment: AugmentConfig, rng: np.random.Generator) -> NDArray[np.number]:
    """Draw a window for each image, (top, left, height, width) in pixels: (N, 4)."""
    windows = np.tile(np.array([0, 0, img_size, img_size]), (count, 1))  # the whole image, if no window fits
    done = np.zeros(count, bool)
    for _ in range(_TRIES):
        area = rng.uniform(*AREA, count) * img_size**2
        ratio = np.exp(rng.uniform(np.log(RATIO[0]), np.log(RATIO[1]), count))
        sizes = np.stack([np.sqrt(area / ratio), np.sqrt(area * ratio)], axis=1).round().astype(np.int64).clip(1)
        offsets = rng.integers(0, np.maximum(img_size - sizes, 0) + 1)
        fits = (sizes <= img_size).all(1) & ~done
        windows[fits] = np.concatenate([offsets, sizes], axis=1)[fits]
        done |= fits
    return windows


def crop(images_BCHW: Tensor, windows_B4: Tensor, mirror_B: Tensor, size: int) -> Tensor:
    """Resize the windows to (B, 3, size, size) bilinearly, and mirror where ``mirror_B`` is 1. float32 in and out."""
    top_B1, left_B1, height_B1, width_B1 = windows_B4.T[:, :, None]
    centers = (torch.arange(size, device=images_BCHW.device) + 0.5) / size
    across_BW = torch.where(mirror_B[:, None] == 1, 1 - centers, centers)
    # Pixels outside the window are not mixed in: its outermost pixels extend to its edge.
    y_BH = top_B1 + (centers * height_B1).clamp(min=0.5).minimum(height_B1 - 0.5)
    x_BW = left_B1 + (across_BW * width_B1).clamp(min=0.5).minimum(width_B1 - 0.5)
    grid_BHW2 = torch.stack(torch.broadcast_tensors(x_BW[:, None, :], y_BH[:, :, None]), dim=-1)
    grid_BHW2 = grid_BHW2 * (2 / images_BCHW.shape[-1]) - 1
    return functional.grid_sample(images_BCHW, grid_BHW2, mode="bilinear", padding_mode="border", align_corners=False)


RESIZED_CROP = Augmentation(key=1, columns=4, enabled=lambda augment: augment.crop == "resized", draw=draw, crop=crop)
