"""``augment.crop: resized``: a window of random area and aspect ratio, resized to the input of the network.

Source: fb.resnet.torch, RandomSizedCrop, with the ratio drawn uniformly on a logarithmic scale as torchvision does.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...config.schema import AugmentConfig
from .base import Augmentation
from .resampling import sample

# A window that is longer than the image is drawn again, this many times in all.
_TRIES = 10


def draw(count: int, img_size: int, augment: AugmentConfig, rng: np.random.Generator) -> NDArray[np.number]:
    """Draw a window for each image, (top, left, height, width) in pixels: (N, 4)."""
    windows = np.tile(np.array([0, 0, img_size, img_size]), (count, 1))  # the whole image, if no window fits
    done = np.zeros(count, bool)
    least, greatest = np.log(augment.ratio)
    for _ in range(_TRIES):
        area = rng.uniform(augment.area, 1, count) * img_size**2
        ratio = np.exp(rng.uniform(least, greatest, count))
        sizes = np.stack([np.sqrt(area / ratio), np.sqrt(area * ratio)], axis=1).round().astype(np.int64).clip(1)
        offsets = rng.integers(0, np.maximum(img_size - sizes, 0) + 1)
        fits = (sizes <= img_size).all(1) & ~done
        windows[fits] = np.concatenate([offsets, sizes], axis=1)[fits]
        done |= fits
    return windows


def crop(images_BCHW: Tensor, windows_B4: Tensor, mirror_B: Tensor, size: int) -> Tensor:
    """Resize the windows to (B, 3, size, size), and mirror where ``mirror_B`` is 1. float32 in and out."""
    return sample(images_BCHW, windows_B4, mirror_B, size)


RESIZED_CROP = Augmentation(
    key=1,
    columns=4,
    enabled=lambda augment: augment.crop == "resized",
    draw=draw,
    crop=crop,
    windows=lambda windows_B4, side, size: windows_B4,
)
