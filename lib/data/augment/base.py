"""The interface of augmentations."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...config.schema import AugmentConfig

Draw = Callable[[int, int, AugmentConfig, np.random.Generator], NDArray[np.number]]
"""(count, img_size, augment, rng) -> parameters (count, columns)"""

Apply = Callable[[Tensor, Tensor], Tensor]
"""(images (B, 3, crop, crop), parameters (B, columns)) -> images; pixels are float32, 0 to 255"""

Crop = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""(whole images (B, 3, H, W), parameters (B, columns), mirror (B,), crop) -> images (B, 3, crop, crop)"""

Windows = Callable[[Tensor, int, int], Tensor]
"""(parameters (B, columns), side of the images, crop) -> windows (B, 4): top, left, height, width in pixels"""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """A random change of training images: how its parameters are drawn, and how they are applied."""

    key: int
    """part of the key of its random numbers. It is unique and never changes: so an augmentation draws the same
    parameters whichever others are on"""
    columns: int
    """parameters of each image"""
    enabled: Callable[[AugmentConfig], bool]
    """whether the configuration switches it on"""
    draw: Draw
    apply: Apply | None = None
    """changes images after the crop and before normalization"""
    crop: Crop | None = None
    """replaces the crop, for the images and for the mean image"""
    windows: Windows | None = None
    """the windows that ``crop`` cuts, for augmentations that change them further"""
    mix: Apply | None = None
    """mixes the images of a batch after the mean is subtracted"""
