"""Random resized crops: a window of random area and shape, stretched to the network's input.

Source: fb.resnet.torch, RandomSizedCrop, with the ratio drawn evenly on a logarithmic scale as torchvision does.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

AREA = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
# A window may turn out longer than the image; it is then drawn again, at most so often in all.
_TRIES = 10


def draw_windows(count: int, img_size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A window of each of ``count`` images: rows of (top, left, height, width) in pixels, (N, 4)."""
    windows = np.tile(np.array([0, 0, img_size, img_size]), (count, 1))  # if none fits: all of it
    drawn = np.zeros(count, bool)
    for _ in range(_TRIES):
        area = rng.uniform(*AREA, count) * img_size**2
        ratio = np.exp(rng.uniform(np.log(RATIO[0]), np.log(RATIO[1]), count))
        sizes = np.stack([np.sqrt(area / ratio), np.sqrt(area * ratio)], axis=1).round().astype(np.int64).clip(1)
        offsets = rng.integers(0, np.maximum(img_size - sizes, 0) + 1)
        fits = (sizes <= img_size).all(1) & ~drawn
        windows[fits] = np.concatenate([offsets, sizes], axis=1)[fits]
        drawn |= fits
    return windows


def stretched(images_BCHW: Tensor, windows_B4: Tensor, mirror_B: Tensor, crop: int) -> Tensor:
    """The windows as (B, 3, crop, crop), bilinear, mirrored where ``mirror_B`` is 1; float32 in and out."""
    top_B1, left_B1, height_B1, width_B1 = windows_B4.T[:, :, None]
    centers = (torch.arange(crop, device=images_BCHW.device) + 0.5) / crop
    across_BW = torch.where(mirror_B[:, None] == 1, 1 - centers, centers)
    # Nothing outside the window is mixed in: its outermost pixels go on to its edge.
    y_BH = top_B1 + (centers * height_B1).clamp(min=0.5).minimum(height_B1 - 0.5)
    x_BW = left_B1 + (across_BW * width_B1).clamp(min=0.5).minimum(width_B1 - 0.5)
    grid_BHW2 = torch.stack(torch.broadcast_tensors(x_BW[:, None, :], y_BH[:, :, None]), dim=-1)
    grid_BHW2 = grid_BHW2 * (2 / images_BCHW.shape[-1]) - 1
    return functional.grid_sample(images_BCHW, grid_BHW2, mode="bilinear", padding_mode="border", align_corners=False)
