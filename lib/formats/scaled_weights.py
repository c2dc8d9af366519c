"""Weights together with the scale of the inputs they were trained on."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import WeightsError

Std = tuple[float, float, float]
"""what red, green and blue are divided by, on a scale of 0 to 255: normalize.std"""


def describe_scale(std: Std | None) -> str:
    """Return the scale of inputs in words.

    >>> describe_scale(None), describe_scale((58.4, 57.12, 57.38))
    ('inputs of 0 to 255', 'inputs of 0 to 255 divided by 58.4, 57.12, 57.38')
    """
    divisor = f" divided by {', '.join(f'{value:.6g}' for value in std)}" if std else ""
    return f"inputs of 0 to 255{divisor}"


class ScaledWeights(NamedTuple):
    """The weights of a network and the scale of its inputs."""

    tensors: dict[str, Tensor]
    """parameters and buffers, in this program's names and shapes"""

    std: Std | None = None
    """what the training images were divided by; None: nothing, their range was 0 to 255"""

    folders: tuple[str, ...] = ()
    """the folder name of each class, by index; empty where the file does not say"""

    network: str = ""
    """the name in lib/models/registry.py of the network that was trained; empty where the file does not say"""

    def rescaled(self, std: Std | None, path: str | Path) -> dict[str, Tensor]:
        """Return the weights of the same function for inputs divided by ``std``: the first convolution is rescaled.

        Raises WeightsError, which names ``path``, if no convolution takes three channels.
        """
        if self.std == std:
            return self.tensors
        first = self.first_convolution(path)
        factor = torch.tensor(std or (1.0, 1.0, 1.0)) / torch.tensor(self.std or (1.0, 1.0, 1.0))
        return self.tensors | {first: self.tensors[first] * factor.view(1, 3, 1, 1)}

    def first_convolution(self, path: str | Path) -> str:
        """Return the name of the first convolution's weight. Raises WeightsError if none takes three channels."""
        for name, value in self.tensors.items():
            if value.ndim == 4 and value.shape[1] == 3:
                return name
        raise WeightsError(f"{path} has no convolution of a color image; use the weights of an image network")
