"""SqueezeNet (arXiv:1602.07360): soumith's, with bypasses, and the published versions of Caffe and torchvision.

Parameters are named as in torchvision.
"""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from .layers import map_shape

# Outputs of the squeeze and of each expand convolution of the eight fire modules.
_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))


class Fire(nn.Module):
    """A 1x1 convolution that squeezes, then 1x1 and 3x3 in parallel: (B, inputs, H, W) to (B, 2 expand, H, W).

    ``bypass`` adds the input to the output, which then has the same number of channels.
    """

    def __init__(self, inputs: int, squeeze: int, expand: int, *, bypass: bool = False) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.relu = nn.ReLU()
        self.bypass = bypass

    def forward(self, x_BCHW: Tensor) -> Tensor:
        squeezed = self.relu(self.squeeze(x_BCHW))
        expanded: Tensor = self.relu(torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], 1))
        return x_BCHW + expanded if self.bypass else expanded


class SqueezeNet(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes): the stem, eight fires, a 1x1 convolution and its mean.

    Max-pools follow the stem and, counted from 1, the fires ``pool_after``.
    """

    def __init__(
        self,
        n_classes: int,
        crop: int,
        stem: nn.Conv2d,
        pool_after: Collection[int],
        *,
        last_padding: int = 0,
        soumith: bool = False,
    ) -> None:
        super().__init__()
        inputs = stem.out_channels
        layers: list[nn.Module] = [stem, nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=not soumith)]
        for number, (squeeze, expand) in enumerate(_FIRES, 1):
            layers.append(Fire(inputs, squeeze, expand, bypass=soumith and number % 2 == 0))
            if number in pool_after:
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=not soumith))
            inputs = 2 * expand
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(inputs, n_classes, 1, padding=last_padding)
        self.classifier = nn.Sequential(nn.Dropout(0.5), last, nn.ReLU())
        _, side = map_shape(self.features, crop)
        self.pool = nn.AvgPool2d(side + 2 * last_padding)
        if not soumith:  # the initial values of the prototxt
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_uniform_(layer.weight, nonlinearity="linear")  # Caffe's xavier filler
                    if layer.bias is not None:
                        nn.init.zeros_(layer.bias)
            nn.init.normal_(last.weight, 0.0, 0.01)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        logits: Tensor = self.pool(self.classifier(self.features(images_BCHW))).flatten(1)
        return logits


def with_bypass(n_classes: int, crop: int) -> SqueezeNet:
    """Return soumith's: four fires have a bypass, the last convolution is padded by 1; 1,248,424 parameters."""
    return SqueezeNet(n_classes, crop, nn.Conv2d(3, 96, 7, 2), pool_after=(3, 7), last_padding=1, soumith=True)


def v1_0(n_classes: int, crop: int) -> SqueezeNet:
    """Return version 1.0 as in torchvision, whose pooling rounds up as in Caffe; 1,248,424 parameters."""
    return SqueezeNet(n_classes, crop, nn.Conv2d(3, 96, 7, 2), pool_after=(3, 7))


def v1_0_caffe(n_classes: int, crop: int) -> SqueezeNet:
    """Return version 1.0 as published for Caffe: the last convolution is padded by 1; 1,248,424 parameters."""
    return SqueezeNet(n_classes, crop, nn.Conv2d(3, 96, 7, 2), pool_after=(3, 7), last_padding=1)


def v1_1(n_classes: int, crop: int) -> SqueezeNet:
    """Return the published version 1.1: smaller first convolution, earlier pooling; 1,235,496 parameters."""
    return SqueezeNet(n_classes, crop, nn.Conv2d(3, 64, 3, 2), pool_after=(2, 4))
