"""Windows of images that are cut otherwise than at whole pixels: by an augmentation, warped or resized."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ...types import Interpolation
from .base import Augmentation
from .padded_crop import PADDED_CROP
from .registry import PLAIN_COLUMNS, columns_of
from .resampling import sample
from .resized_crop import RESIZED_CROP
from .warp import WARP, matrix


def cutter(
    augmentations: Sequence[Augmentation], params_BV: Tensor, side: int, crop: int, size: int, mode: Interpolation
) -> Callable[[Tensor], Tensor] | None:
    """Return the function from whole images (B, 3, side, side) to crops (B, 3, size, size); None for plain crops.

    Crops are windows of ``crop`` x ``crop`` pixels, unless they have their own size, resized to ``size`` by ``mode``.
    """
    own = next((augmentation for augmentation in augmentations if augmentation.crop), None)
    warped = WARP in augmentations
    if not own and not warped and size == crop:
        return None
    mirror_B = params_BV[:, PLAIN_COLUMNS - 1]
    params_BP = params_BV[:, columns_of(own)] if own else params_BV
    cut = own.crop if own else None
    if cut and not warped and size == crop and own is not RESIZED_CROP:
        return lambda images_BCHW: cut(images_BCHW, params_BP, mirror_B, size)
    windows = own.windows if own and own.windows else plain_windows
    return partial(
        sample,
        windows_B4=windows(params_BP, side, crop),
        mirror_B=mirror_B,
        size=size,
        warp_B22=matrix(params_BV[:, columns_of(WARP)]) if warped else None,
        zeros=own is PADDED_CROP,
        mode=mode,
    )


def plain_windows(params_BV: Tensor, side: int, crop: int) -> Tensor:
    """Return the windows of plain crops, (B, 4): top, left, height, width."""
    offsets_B2 = params_BV[:, :2]
    return torch.cat([offsets_B2, torch.full_like(offsets_B2, crop)], dim=1)
