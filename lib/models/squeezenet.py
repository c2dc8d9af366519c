"""SqueezeNet (arXiv:1602.07360): soumith's, with bypasses, and the two as published.

Parameters are named as torchvision names them.
"""

import torch
from torch import Tensor, nn

from lib.models.layers import init_caffe_xavier, init_gaussian, map_shape


class Fire(nn.Module):
    """A 1x1 convolution that squeezes, then 1x1 and 3x3 ones side by side: (B, C, H, W) to (B, 2 expand, H, W).

    ``bypass`` adds the input to the output; both then have as many channels.
    """

    def __init__(self, inputs: int, squeeze: int, expand: int, *, bypass: bool = False) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.bypass = bypass

    def forward(self, x_BCHW: Tensor) -> Tensor:
        squeezed = self.squeeze(x_BCHW).relu()
        expanded = torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], 1).relu()
        return x_BCHW + expanded if self.bypass else expanded


class SqueezeNet(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes): ``features``, a 1x1 convolution, its mean over the image."""

    def __init__(self, n_classes: int, crop: int, features: nn.Sequential, *, last_padding: int) -> None:
        super().__init__()
        self.features = features
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(512, n_classes, 1, padding=last_padding), nn.ReLU())
        _, side = map_shape(features, crop)
        self.pool = nn.AvgPool2d(side + 2 * last_padding)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        logits: Tensor = self.pool(self.classifier(self.features(images_BCHW))).flatten(1)
        return logits


def with_bypass(n_classes: int, crop: int) -> SqueezeNet:
    """soumith's: four fires with a bypass, the last convolution padded by 1; 1,248,424 parameters."""
    features = nn.Sequential(
        nn.Conv2d(3, 96, 7, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        Fire(96, 16, 64),
        Fire(128, 16, 64, bypass=True),
        Fire(128, 32, 128),
        nn.MaxPool2d(3, 2),
        Fire(256, 32, 128, bypass=True),
        Fire(256, 48, 192),
        Fire(384, 48, 192, bypass=True),
        Fire(384, 64, 256),
        nn.MaxPool2d(3, 2),
        Fire(512, 64, 256, bypass=True),
    )
    return SqueezeNet(n_classes, crop, features, last_padding=1)


def v1_0(n_classes: int, crop: int) -> SqueezeNet:
    """As published, pooling rounded up as in Caffe; 1,248,424 parameters."""
    features = nn.Sequential(
        nn.Conv2d(3, 96, 7, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(96, 16, 64),
        Fire(128, 16, 64),
        Fire(128, 32, 128),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(256, 32, 128),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(512, 64, 256),
    )
    return _as_published(SqueezeNet(n_classes, crop, features, last_padding=0))


def v1_1(n_classes: int, crop: int) -> SqueezeNet:
    """As published: smaller first convolution, earlier pooling; 1,235,496 parameters."""
    features = nn.Sequential(
        nn.Conv2d(3, 64, 3, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(64, 16, 64),
        Fire(128, 16, 64),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(128, 32, 128),
        Fire(256, 32, 128),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        Fire(512, 64, 256),
    )
    return _as_published(SqueezeNet(n_classes, crop, features, last_padding=0))


def _as_published(network: SqueezeNet) -> SqueezeNet:
    """Initial values of the published prototxt: xavier everywhere, N(0, 0.01) in the last convolution."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            init_caffe_xavier(layer)
    last = network.classifier[1]
    assert isinstance(last, nn.Conv2d)
    init_gaussian(last, 0.01, 0.0)
    return network
