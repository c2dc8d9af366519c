"""AlexNet as theano_alexnet trained it (arXiv:1412.2302): 60,965,224 parameters with 1,000 classes at crop 227.

The second, fourth and fifth convolution have two groups. The response norm comes after the pooling, as in CaffeNet,
and its alpha is not divided by the window.
"""

from typing import TypeVar

import torch
from torch import nn

from .layers import FeatureClassifier, ResponseNorm, flat_length

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class AlexNet(FeatureClassifier):
    """theano_alexnet's AlexNet. Inputs are 0 to 255, less the mean image."""

    def __init__(self, n_classes: int, crop: int) -> None:
        features = nn.Sequential(
            *(_gaussian(nn.Conv2d(3, 96, 11, stride=4)), nn.ReLU(), nn.MaxPool2d(3, 2), ResponseNorm()),
            *(_gaussian(nn.Conv2d(96, 256, 5, padding=2, groups=2), bias=0.1), nn.ReLU(), nn.MaxPool2d(3, 2)),
            ResponseNorm(),
            *(_gaussian(nn.Conv2d(256, 384, 3, padding=1)), nn.ReLU()),
            *(_gaussian(nn.Conv2d(384, 384, 3, padding=1, groups=2), bias=0.1), nn.ReLU()),
            *(_gaussian(nn.Conv2d(384, 256, 3, padding=1, groups=2)), nn.ReLU(), nn.MaxPool2d(3, 2)),
        )
        inputs = flat_length(features, crop)
        classifier = nn.Sequential(
            nn.Flatten(),
            *(_gaussian(nn.Linear(inputs, 4096), std=0.005, bias=0.1), nn.ReLU(), nn.Dropout(0.5)),
            *(_gaussian(nn.Linear(4096, 4096), std=0.005, bias=0.1), nn.ReLU(), nn.Dropout(0.5)),
            _gaussian(nn.Linear(4096, n_classes)),
        )
        super().__init__(features, classifier)


@torch.no_grad()
def _gaussian(layer: Layer, *, std: float = 0.01, bias: float = 0.0) -> Layer:
    """Draw weights from N(0, std), set biases to ``bias``, and return ``layer``."""
    layer.weight.normal_(0.0, std)
    if layer.bias is not None:
        layer.bias.fill_(bias)
    return layer
