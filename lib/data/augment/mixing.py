"""``augment.mixup`` and ``augment.cutmix``: each image with a part of another one, and a loss with the labels of both.

Images are mixed in pairs: the first with the second of a batch, the third with the fourth. A pair is next to each other
in the order of the epoch and never divided between workers, so the result does not depend on their number. An image
that is left over is not mixed. Sources: arXiv:1710.09412, arXiv:1905.04899; with both, one is chosen for each image
with equal chances, as in timm.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...config.schema import AugmentConfig
from ...models.losses import MixedLabels
from .base import Augmentation
from .rectangle import inside

_SHARE, _RECTANGLE = 0, slice(1, 5)
OWN_WEIGHT = 5
"""column of the weight of an image's own label"""


def draw(count: int, img_size: int, augment: AugmentConfig, rng: np.random.Generator) -> NDArray[np.number]:
    """Draw what each image keeps of itself: (N, 6).

    mixup: the share of each pixel. cutmix: all but a rectangle, (top, left, height, width) as shares of the side. The
    last column is the weight of the image's own label: the share of the image that is its own.
    """
    cut = rng.random(count) < (0.5 if augment.mixup else 1.0) if augment.cutmix else np.zeros(count, bool)
    mixed, kept = (rng.beta(alpha or 1, alpha or 1, count) for alpha in (augment.mixup, augment.cutmix))
    half = (np.sqrt(1 - kept) / 2)[:, None]
    centers = rng.random((count, 2))
    corners = (centers - half).clip(min=0)
    sizes = ((centers + half).clip(max=1) - corners) * cut[:, None]
    share = np.where(cut, 1.0, mixed)
    return np.column_stack([share, corners, sizes, share * (1 - sizes.prod(1))])


def mix(images_BCHW: Tensor, params_B6: Tensor) -> Tensor:
    """Return each image mixed with its partner."""
    others_BCHW = images_BCHW[partners(len(images_BCHW), images_BCHW.device)]
    share_B111 = params_B6[:, _SHARE, None, None, None]
    mixed_BCHW = share_B111 * images_BCHW + (1 - share_B111) * others_BCHW
    return torch.where(inside(params_B6[:, _RECTANGLE], images_BCHW.shape[-1]), others_BCHW, mixed_BCHW)


def mixed_labels(labels_B: Tensor, params_B6: Tensor) -> MixedLabels:
    """Return the labels of each image and its partner, and their weights."""
    others_B, weight_B = labels_B[partners(len(labels_B), labels_B.device)], params_B6[:, OWN_WEIGHT]
    less = weight_B < 0.5
    return MixedLabels(
        torch.where(less, others_B, labels_B),
        torch.where(less, labels_B, others_B),
        torch.where(less, 1 - weight_B, weight_B),
    )


def partners(count: int, device: torch.device) -> Tensor:
    """Return the number of the partner of each of ``count`` images; the last of an odd number is its own.

    >>> partners(5, torch.device("cpu")).tolist()
    [1, 0, 3, 2, 4]
    """
    return (torch.arange(count, device=device) ^ 1).clamp(max=count - 1)


MIXING = Augmentation(key=6, columns=6, enabled=lambda augment: augment.mixes, draw=draw, mix=mix)
