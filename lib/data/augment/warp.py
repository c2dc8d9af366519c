"""``augment.rotation`` and ``augment.shear``: the window turned and slanted around its middle.

Pixels come from the whole image, so that few lie beyond its edges; there it is reflected.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...config.schema import AugmentConfig
from .base import Augmentation


def draw(count: int, img_size: int, augment: AugmentConfig, rng: np.random.Generator) -> NDArray[np.number]:
    """Draw the matrix that a place in the window, (across, down) from its middle, is multiplied by: row by row, (N, 4).

    The window is slanted across and down, each by an angle of up to ``shear`` degrees, and then turned by up to
    ``rotation`` degrees.
    """
    angles = np.deg2rad(rng.uniform(-1, 1, (count, 3)) * (augment.rotation, augment.shear, augment.shear))
    (sin, cos), (across, down) = (np.sin(angles[:, 0]), np.cos(angles[:, 0])), np.tan(angles[:, 1:]).T
    turned = np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2)
    slanted = np.stack([np.ones(count), across, down, np.ones(count)], axis=1).reshape(-1, 2, 2)
    rows: NDArray[np.float64] = (turned @ slanted).reshape(-1, 4)
    return rows


def matrix(params_B4: Tensor) -> Tensor:
    """Return the matrices (B, 2, 2)."""
    return params_B4.reshape(-1, 2, 2)


WARP = Augmentation(key=7, columns=4, enabled=lambda augment: augment.rotation > 0 or augment.shear > 0, draw=draw)
