"""``augment.pca_lighting``: a random shift of all colors along the principal components of ImageNet's colors.

Source: fb.resnet.torch, Lighting.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...config.schema import AugmentConfig
from .base import Augmentation

# Principal components of ImageNet's colors, on a scale of 0 to 1. Each column of the vectors is one component.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


def draw(count: int, img_size: int, augment: AugmentConfig, rng: np.random.Generator) -> NDArray[np.number]:
    """Draw what is added to red, green and blue, (N, 3): normal along each component, with std ``pca_lighting``."""
    along = rng.normal(0.0, augment.pca_lighting, (count, 3)) * EIGENVALUES
    added: NDArray[np.float64] = 255 * along @ np.array(EIGENVECTORS).T
    return added


def apply(images_BCHW: Tensor, params_B3: Tensor) -> Tensor:
    """Add the same color to every pixel of an image."""
    return images_BCHW + params_B3[:, :, None, None]


PCA_LIGHTING = Augmentation(key=3, columns=3, enabled=lambda augment: augment.pca_lighting > 0, draw=draw, apply=apply)
