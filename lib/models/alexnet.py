"""AlexNet as theano_alexnet (arXiv:1412.2302) and Caffe trained it: 60,965,224 parameters at crop 227, 1,000 classes.

The second, fourth and fifth convolution have two groups. All three networks name their parameters alike; they differ in
the response norm and in the initial biases.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import nn

from .layers import FeatureClassifier, ResponseNorm, flat_length

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class AlexNet(FeatureClassifier):
    """AlexNet for inputs of 0 to 255, less the mean image; theano_alexnet's by default.

    theano_alexnet and Caffe's CaffeNet normalize after pooling, Caffe's AlexNet before it: ``norm_first``. ``norm`` is
    the response norm. ``bias`` is the initial bias of conv2, conv4, fc6 and fc7, and ``last_bias`` that of conv5.
    """

    def __init__(
        self,
        n_classes: int,
        crop: int,
        *,
        norm: Callable[[], nn.Module] = ResponseNorm,
        norm_first: bool = False,
        bias: float = 0.1,
        last_bias: float = 0.0,
    ) -> None:
        def pool_and_norm() -> list[nn.Module]:
            layers = [nn.MaxPool2d(3, 2), norm()]
            return layers[::-1] if norm_first else layers

        features = nn.Sequential(
            *(_gaussian(nn.Conv2d(3, 96, 11, stride=4)), nn.ReLU(), *pool_and_norm()),
            *(_gaussian(nn.Conv2d(96, 256, 5, padding=2, groups=2), bias=bias), nn.ReLU(), *pool_and_norm()),
            *(_gaussian(nn.Conv2d(256, 384, 3, padding=1)), nn.ReLU()),
            *(_gaussian(nn.Conv2d(384, 384, 3, padding=1, groups=2), bias=bias), nn.ReLU()),
            *(_gaussian(nn.Conv2d(384, 256, 3, padding=1, groups=2), bias=last_bias), nn.ReLU(), nn.MaxPool2d(3, 2)),
        )
        inputs = flat_length(features, crop)
        classifier = nn.Sequential(
            nn.Flatten(),
            *(_gaussian(nn.Linear(inputs, 4096), std=0.005, bias=bias), nn.ReLU(), nn.Dropout(0.5)),
            *(_gaussian(nn.Linear(4096, 4096), std=0.005, bias=bias), nn.ReLU(), nn.Dropout(0.5)),
            _gaussian(nn.Linear(4096, n_classes)),
        )
        super().__init__(features, classifier)


# Caffe divides alpha by the window, which pylearn2 does not, and has k = 1.
_caffe = partial(AlexNet, norm=partial(ResponseNorm, alpha=1e-4 / 5, k=1.0))
caffenet = partial(_caffe, bias=1.0, last_bias=1.0)
bvlc_alexnet = partial(_caffe, norm_first=True, last_bias=0.1)


@torch.no_grad()
def _gaussian(layer: Layer, *, std: float = 0.01, bias: float = 0.0) -> Layer:
    """Draw weights from N(0, std), set biases to ``bias``, and return ``layer``."""
    layer.weight.normal_(0.0, std)
    if layer.bias is not None:
        layer.bias.fill_(bias)
    return layer
