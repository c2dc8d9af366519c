"""Augmentation parameters: how each image is cropped, flipped and recolored.

Drawing is pure, keyed by (seed, epoch, image), and the only part that knows chance; applying gives the same
answer for the same views on any device, in training and in validation.

A row of params says where to cut an image and whether to mirror it: (top, left, mirror), int16. Where the
configuration asks for more, rows are wide: float32, with ``COLUMNS`` columns.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib.config.schema import AugmentConfig
from lib.data.augment.colors import draw_jitter, draw_lighting
from lib.data.augment.windows import draw_windows
from lib.rng import Stream, numpy_generator

AugmentParams = NDArray[np.int16] | NDArray[np.float32]

PLAIN = 3
"""columns of a plain row: top, left, mirror"""
WINDOW = slice(3, 7)
"""top, left, height and width of the part that is stretched to the network's input"""
JITTER = slice(7, 11)
"""factors of brightness, contrast and saturation, and the number of their order"""
LIGHTING = slice(11, 14)
"""what is added to red, green and blue"""
COLUMNS = 14


def draw_params(
    count: int, *, img_size: int, crop: int, augment: AugmentConfig, seed: int, epoch: int
) -> AugmentParams:
    """A view for each of ``count`` images in this epoch: (N, 3), or (N, COLUMNS) where ``views`` asks for more.

    All offsets 0 to ``img_size - crop`` are equally likely. Row i belongs to image i whatever the order is, so
    any worker may look up any image.
    """
    rng = numpy_generator(Stream.AUGMENT, seed, epoch)
    drawn = center_params(count, img_size=img_size, crop=crop)
    offsets = rng.integers(0, img_size - crop + 1, size=(count, 2), dtype=np.int16)
    mirror = rng.integers(0, 2, size=count, dtype=np.int16)
    if augment.crop == "random":
        drawn[:, :2] = offsets
    if augment.mirror:
        drawn[:, 2] = mirror
    return drawn if is_plain(augment) else _widened(drawn, img_size=img_size, augment=augment, seed=seed, epoch=epoch)


def is_plain(augment: AugmentConfig) -> bool:
    """Whether cutting and mirroring is all that is asked for."""
    return augment.crop != "resized" and not augment.color_jitter and not augment.pca_lighting


def center_params(count: int, *, img_size: int, crop: int) -> NDArray[np.int16]:
    """The centre, not mirrored, ``count`` times: (N, 3)."""
    return np.tile(np.array([(img_size - crop) // 2, (img_size - crop) // 2, 0], np.int16), (count, 1))


def eval_crop_params(crops: int, *, img_size: int, crop: int) -> NDArray[np.int16]:
    """The views of one image that are averaged in evaluation: (crops, 3).

    1: the centre. 2: and its mirror image. 10: centre and four corners, then the mirror image of each.
    """
    last = img_size - crop
    corners = [(0, 0), (0, last), (last, 0), (last, last)] if crops == 10 else []
    params = np.tile(center_params(1, img_size=img_size, crop=crop), (1 + len(corners), 1))
    params[1:, :2] = corners or 0
    if crops == 1:
        return params
    mirrored = params.copy()
    mirrored[:, 2] = 1
    return np.concatenate([params, mirrored])


def crop_and_normalize(images_BHWC: Tensor, mean_HWC: Tensor, params_BV: Tensor, crop: int) -> Tensor:
    """Subtract the mean image, cut and mirror: uint8 (B, H, W, 3) -> float32 (B, 3, crop, crop).

    The mean is subtracted before the cut, so each pixel loses the mean of its own place in the whole image.
    """
    rows_BH1, columns_B1W = positions(params_BV, crop)
    cut_BHWC = cut(images_BHWC, rows_BH1, columns_B1W)
    cut_BHWC -= mean_HWC[rows_BH1, columns_B1W]
    return cut_BHWC.permute(0, 3, 1, 2).contiguous()


def positions(params_BV: Tensor, crop: int) -> tuple[Tensor, Tensor]:
    """The rows (B, crop, 1) and columns (B, 1, crop) of the pixels that each view shows."""
    steps = torch.arange(crop, device=params_BV.device)
    top_B1, left_B1, mirror_B1 = params_BV[:, :PLAIN].long().T[:, :, None]
    rows_BH1 = (top_B1 + steps)[:, :, None]
    columns_B1W = (left_B1 + torch.where(mirror_B1 == 1, crop - 1 - steps, steps))[:, None, :]
    return rows_BH1, columns_B1W


def cut(images_BHWC: Tensor, rows_BH1: Tensor, columns_B1W: Tensor) -> Tensor:
    """The pixels at ``positions``, float32 (B, crop, crop, 3)."""
    image_B11 = torch.arange(len(images_BHWC), device=images_BHWC.device)[:, None, None]
    return images_BHWC[image_B11, rows_BH1, columns_B1W].float()


def _widened(
    plain: NDArray[np.int16], *, img_size: int, augment: AugmentConfig, seed: int, epoch: int
) -> AugmentParams:
    """Each kind has random numbers of its own, so that one does not change with another's being on."""

    def rng(kind: int) -> np.random.Generator:
        return numpy_generator(Stream.AUGMENT, seed, epoch, kind)

    count = len(plain)
    wide = np.zeros((count, COLUMNS), np.float32)
    wide[:, :PLAIN] = plain
    if augment.crop == "resized":
        wide[:, WINDOW] = draw_windows(count, img_size, rng(1))
    if augment.color_jitter:
        wide[:, JITTER] = draw_jitter(count, augment.color_jitter, rng(2))
    if augment.pca_lighting:
        wide[:, LIGHTING] = draw_lighting(count, augment.pca_lighting, rng(3))
    return wide
