"""``augment.color_jitter``: random brightness, contrast and saturation, in random order.

Source: fb.resnet.torch, ColorJitter.
"""

from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...config.schema import AugmentConfig
from .base import Augmentation

GRAY = (0.299, 0.587, 0.114)
"""weights of red, green and blue in gray"""

BRIGHTNESS, CONTRAST, SATURATION = range(3)
ORDERS = tuple(permutations((BRIGHTNESS, CONTRAST, SATURATION)))


def draw(count: int, img_size: int, augment: AugmentConfig, rng: np.random.Generator) -> NDArray[np.number]:
    """Draw factors of brightness, contrast and saturation, 1 -/+ ``color_jitter``, and the number of an order: (N, 4).

    The order is an index of ``ORDERS``.
    """
    factors = rng.uniform(1 - augment.color_jitter, 1 + augment.color_jitter, (count, 3))
    return np.concatenate([factors, rng.integers(0, len(ORDERS), (count, 1))], axis=1)


def apply(images_BCHW: Tensor, params_B4: Tensor) -> Tensor:
    """Blend each image with black, with its mean gray and with its own gray, in its order."""
    device = images_BCHW.device
    kind_B3 = torch.tensor(ORDERS, device=device)[params_B4[:, 3].long()]
    factor_B3 = params_B4[:, :3].gather(1, kind_B3)
    weights_C11 = torch.tensor(GRAY, device=device)[:, None, None]
    for kind_B, factor_B in zip(kind_B3.T, factor_B3.T, strict=True):
        kind_B111, factor_B111 = kind_B[:, None, None, None], factor_B[:, None, None, None]
        gray_B1HW = (images_BCHW * weights_C11).sum(1, keepdim=True)
        flat_B111 = gray_B1HW.mean((2, 3), keepdim=True) * (kind_B111 == CONTRAST)
        other_B1HW = torch.where(kind_B111 == SATURATION, gray_B1HW, flat_B111)
        images_BCHW = factor_B111 * images_BCHW + (1 - factor_B111) * other_B1HW
    return images_BCHW


COLOR_JITTER = Augmentation(key=2, columns=4, enabled=lambda augment: augment.color_jitter > 0, draw=draw, apply=apply)
