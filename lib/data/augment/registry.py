"""The registry of augmentations, in the order in which they are applied."""

from ...config.schema import AugmentConfig
from .auto import AUTO
from .base import Augmentation
from .color_jitter import COLOR_JITTER
from .erasing import ERASING
from .mixing import MIXING
from .padded_crop import PADDED_CROP
from .pca_lighting import PCA_LIGHTING
from .resized_crop import RESIZED_CROP
from .warp import WARP

AUGMENTATIONS: tuple[Augmentation, ...] = (
    RESIZED_CROP,
    AUTO,
    COLOR_JITTER,
    PCA_LIGHTING,
    PADDED_CROP,
    WARP,
    ERASING,
    MIXING,
)

PLAIN_COLUMNS = 3
"""parameters that every image has: top, left, mirror"""
COLUMNS = PLAIN_COLUMNS + sum(augmentation.columns for augmentation in AUGMENTATIONS)
"""parameters of an image if any augmentation is on"""


def enabled(augment: AugmentConfig) -> tuple[Augmentation, ...]:
    """Return the augmentations that the configuration switches on."""
    return tuple(augmentation for augmentation in AUGMENTATIONS if augmentation.enabled(augment))


def columns_of(augmentation: Augmentation) -> slice:
    """Return the columns that hold the parameters of one augmentation."""
    start = PLAIN_COLUMNS
    for other in AUGMENTATIONS:
        if other is augmentation:
            break
        start += other.columns
    return slice(start, start + augmentation.columns)
