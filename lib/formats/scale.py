"""Weights, with the scale of colours that they were made for: the same network for another."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lib.errors import WeightsError

Std = tuple[float, float, float]
"""what red, green and blue are divided by, on a scale of 0 to 255: normalize.std"""


def told(std: Std | None) -> str:
    """For people.

    >>> told(None), told((58.4, 57.12, 57.38))
    ('colours of 0 to 255', 'colours of 0 to 255 over 58.4, 57.12, 57.38')
    """
    over = f" over {', '.join(f'{value:.6g}' for value in std)}" if std else ""
    return f"colours of 0 to 255{over}"


class Weights(NamedTuple):
    """A network's weights."""

    tensors: dict[str, Tensor]
    """by our names, in our shapes"""

    std: Std | None = None
    """what the pictures were divided by that it was trained on; None: nothing, they had 0 to 255"""

    def for_pictures_over(self, std: Std | None, path: str | Path) -> dict[str, Tensor]:
        """The same network for pictures divided by ``std``: its first convolution makes up for the difference.

        Raises WeightsError, with ``path``, when it has none of a colour image.
        """
        if self.std == std:
            return self.tensors
        first = next((name for name, value in self.tensors.items() if value.ndim == 4 and value.shape[1] == 3), None)
        if first is None:
            raise WeightsError(f"{path} holds no convolution of a colour image; is it weights of an image network?")
        factor = torch.tensor(std or (1.0, 1.0, 1.0)) / torch.tensor(self.std or (1.0, 1.0, 1.0))
        return self.tensors | {first: self.tensors[first] * factor.view(1, 3, 1, 1)}
