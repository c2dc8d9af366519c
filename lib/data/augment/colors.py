"""Random changes of colour, on pixels of 0 to 255.

Source: fb.resnet.torch, ColorJitter and Lighting.
"""

from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GREY = (0.299, 0.587, 0.114)
"""shares of red, green and blue in grey"""

BRIGHTNESS, CONTRAST, SATURATION = range(3)
ORDERS = tuple(permutations((BRIGHTNESS, CONTRAST, SATURATION)))

# Principal components of ImageNet's colours, on a scale of 0 to 1: each column of the vectors is one.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


def draw_jitter(count: int, strength: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Factors of brightness, contrast and saturation, 1 -/+ ``strength``, and the number of their order: (N, 4)."""
    factors = rng.uniform(1 - strength, 1 + strength, (count, 3))
    return np.concatenate([factors, rng.integers(0, len(ORDERS), (count, 1))], axis=1)


def draw_lighting(count: int, strength: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """What to add to red, green and blue, (N, 3): along each principal component, normally distributed."""
    along = rng.normal(0.0, strength, (count, 3)) * EIGENVALUES
    added: NDArray[np.float64] = 255 * along @ np.array(EIGENVECTORS).T
    return added


def jitter(images_BCHW: Tensor, jitter_B4: Tensor) -> Tensor:
    """Mix each image with black, with its mean grey and with its own grey, in its own order."""
    device = images_BCHW.device
    kind_B3 = torch.tensor(ORDERS, device=device)[jitter_B4[:, 3].long()]
    factor_B3 = jitter_B4[:, :3].gather(1, kind_B3)
    shares_C11 = torch.tensor(GREY, device=device)[:, None, None]
    for kind_B, factor_B in zip(kind_B3.T, factor_B3.T, strict=True):
        kind_B111, factor_B111 = kind_B[:, None, None, None], factor_B[:, None, None, None]
        grey_B1HW = (images_BCHW * shares_C11).sum(1, keepdim=True)
        flat_B111 = grey_B1HW.mean((2, 3), keepdim=True) * (kind_B111 == CONTRAST)
        other_B1HW = torch.where(kind_B111 == SATURATION, grey_B1HW, flat_B111)
        images_BCHW = factor_B111 * images_BCHW + (1 - factor_B111) * other_B1HW
    return images_BCHW


def light(images_BCHW: Tensor, added_B3: Tensor) -> Tensor:
    """Add the same to every pixel of an image."""
    return images_BCHW + added_B3[:, :, None, None]
