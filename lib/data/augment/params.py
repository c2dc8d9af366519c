"""Draw augmentation parameters: how each image is cropped, mirrored and recolored.

Drawing is a pure function of (seed, epoch, image). It is the only random step: applying parameters gives the same
result on any device, in training and in validation.

A row of parameters is (top, left, mirror), int16. If an augmentation of the registry is on, rows are wide: float32,
with ``COLUMNS`` columns.
"""

import numpy as np
from numpy.typing import NDArray

from ...config.schema import AugmentConfig
from ...rng import Stream, numpy_generator
from .registry import COLUMNS, PLAIN_COLUMNS, columns_of, enabled
from .warp import WARP

AugmentParams = NDArray[np.int16] | NDArray[np.float32]


def draw_params(
    count: int, *, img_size: int, crop: int, augment: AugmentConfig, seed: int, epoch: int
) -> AugmentParams:
    """Draw parameters for each of ``count`` images in this epoch: (N, 3), or (N, COLUMNS).

    All offsets from 0 to ``img_size - crop`` are equally likely. Row i belongs to image i in any order, so every worker
    can look up every image.
    """
    rng = numpy_generator(Stream.AUGMENT, seed, epoch)
    plain = center_params(count, img_size=img_size, crop=crop)
    offsets = rng.integers(0, img_size - crop + 1, size=(count, 2), dtype=np.int16)
    mirror = rng.integers(0, 2, size=count, dtype=np.int16)
    if augment.crop == "random":
        plain[:, :2] = offsets
    if augment.mirror:
        plain[:, 2] = mirror
    augmentations = enabled(augment)
    if not augmentations and not augment.resizes:
        return plain
    wide = np.zeros((count, COLUMNS), np.float32)
    wide[:, :PLAIN_COLUMNS] = plain
    for augmentation in augmentations:
        rng = numpy_generator(Stream.AUGMENT, seed, epoch, augmentation.key)
        wide[:, columns_of(augmentation)] = augmentation.draw(count, img_size, augment, rng)
    return wide


def rows_to_read(augment: AugmentConfig, *, img_size: int, crop: int) -> int:
    """Return the rows that each training image needs, from the top of its crop on.

    An augmentation with a crop of its own, or one that warps or resizes it, chooses pixels of the whole image.
    """
    return img_size if augment.resizes or any(one.crop or one is WARP for one in enabled(augment)) else crop


def center_params(count: int, *, img_size: int, crop: int) -> NDArray[np.int16]:
    """Return the parameters of ``count`` center crops that are not mirrored: (N, 3)."""
    return np.tile(np.array([(img_size - crop) // 2, (img_size - crop) // 2, 0], np.int16), (count, 1))


def eval_crop_params(crops: int, *, img_size: int, crop: int) -> NDArray[np.int16]:
    """Return the parameters of the crops of one image that are averaged in evaluation: (crops, 3).

    1: the center. 2: the center and its mirror image. 10: the center, the four corners, and the mirror image of each.
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
