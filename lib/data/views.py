"""Views: where to cut an image, and whether to mirror it. Drawing the choice and applying it are two functions.

Drawing is pure, keyed by (seed, epoch, image), and the only part that knows chance; applying gives the same
answer for the same views on any device, in training and in validation.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib import chance
from lib.config import ViewsConfig


def draw_views(count: int, *, img_size: int, crop: int, views: ViewsConfig, seed: int, epoch: int) -> NDArray[np.int16]:
    """A view for each of ``count`` images in this epoch: rows of (top, left, mirror), (N, 3).

    All offsets 0 to ``img_size - crop`` are equally likely. Row i belongs to image i whatever the order is, so
    any worker may look up any image.
    """
    rng = chance.generator(chance.Stream.VIEWS, seed, epoch)
    drawn = center_views(count, img_size=img_size, crop=crop)
    offsets = rng.integers(0, img_size - crop + 1, size=(count, 2), dtype=np.int16)
    mirror = rng.integers(0, 2, size=count, dtype=np.int16)
    if views.random_crop:
        drawn[:, :2] = offsets
    if views.mirror:
        drawn[:, 2] = mirror
    return drawn


def center_views(count: int, *, img_size: int, crop: int) -> NDArray[np.int16]:
    """The centre, not mirrored, ``count`` times: (N, 3)."""
    return np.tile(np.array([(img_size - crop) // 2, (img_size - crop) // 2, 0], np.int16), (count, 1))


def crop_views(crops: int, *, img_size: int, crop: int) -> NDArray[np.int16]:
    """The views of one image that are averaged in evaluation: (crops, 3).

    1: the centre. 2: and its mirror image. 10: centre and four corners, then the mirror image of each.
    """
    last = img_size - crop
    corners = [(0, 0), (0, last), (last, 0), (last, last)] if crops == 10 else []
    views = np.tile(center_views(1, img_size=img_size, crop=crop), (1 + len(corners), 1))
    views[1:, :2] = corners or 0
    if crops == 1:
        return views
    mirrored = views.copy()
    mirrored[:, 2] = 1
    return np.concatenate([views, mirrored])


def apply_views(images_BHWC: Tensor, mean_HWC: Tensor, views_B3: Tensor, crop: int) -> Tensor:
    """Subtract the mean image, cut and mirror: uint8 (B, H, W, 3) -> float32 (B, 3, crop, crop).

    The mean is subtracted before the cut, so each pixel loses the mean of its own place in the whole image.
    """
    steps = torch.arange(crop, device=images_BHWC.device)
    top_B1, left_B1, mirror_B1 = views_B3.long().T[:, :, None]
    rows_BH1 = (top_B1 + steps)[:, :, None]
    columns_B1W = (left_B1 + torch.where(mirror_B1 == 1, crop - 1 - steps, steps))[:, None, :]
    image_B11 = torch.arange(len(images_BHWC), device=images_BHWC.device)[:, None, None]
    cut_BHWC = images_BHWC[image_B11, rows_BH1, columns_B1W].float()
    cut_BHWC -= mean_HWC[rows_BH1, columns_B1W]
    return cut_BHWC.permute(0, 3, 1, 2).contiguous()
