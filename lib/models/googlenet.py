"""GoogLeNet as in soumith's imagenet-multiGPU.torch, with one auxiliary head.

It has two 3x3 convolutions in place of a 5x5, and strided convolutions between the stages, as in arXiv:1502.03167.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from .layers import flat_length, map_shape, torch7_norm


@dataclass(frozen=True)
class Branches:
    """Outputs of an inception's convolutions; 0 omits one. ``projection`` 0 passes the pooled input on."""

    one: int
    three: tuple[int, int]
    """of the reduction, and of the 3x3"""
    double: tuple[int, int]
    """of the reduction, and of each of the two 3x3"""
    pool: Literal["average", "max"]
    projection: int


_STAGE3 = (
    Branches(64, (64, 64), (64, 96), "average", 32),
    Branches(64, (64, 96), (64, 96), "average", 64),
    Branches(0, (128, 160), (64, 96), "max", 0),
)
_STAGE4 = (
    Branches(224, (64, 96), (96, 128), "average", 128),
    Branches(192, (96, 128), (96, 128), "average", 128),
    Branches(160, (128, 160), (128, 160), "average", 96),
    Branches(96, (128, 192), (160, 192), "average", 96),
)
_LAST_OF_STAGE4 = Branches(0, (128, 192), (192, 256), "max", 0)
_STAGE5 = (
    Branches(352, (192, 320), (160, 224), "average", 128),
    Branches(352, (192, 320), (192, 224), "max", 128),
)


class Inception(nn.Module):
    """Up to four branches in parallel: (B, inputs, H, W) to (B, ``outputs``, H, W)."""

    def __init__(self, inputs: int, branches: Branches, norm: bool) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int, size: int = 1) -> list[nn.Module]:
            layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, size, padding=size // 2), nn.ReLU()]
            # Only here, soumith's googlenetbn has a ReLU on both sides of the norm.
            return [*layers, torch7_norm(outputs), nn.ReLU()] if norm else layers

        (reduce3, three), (reduce_double, double) = branches.three, branches.double
        # In soumith's plain network this max-pool pads with zeros. That is the same, because its input is a ReLU's.
        pool = nn.AvgPool2d(3, 1, 1) if branches.pool == "average" else nn.MaxPool2d(3, 1, 1)
        paths = [
            conv(inputs, branches.one) if branches.one else [],
            [*conv(inputs, reduce3), *conv(reduce3, three, 3)],
            [*conv(inputs, reduce_double), *conv(reduce_double, double, 3), *conv(double, double, 3)],
            [pool, *(conv(inputs, branches.projection) if branches.projection else [])],
        ]
        self.paths = nn.ModuleList(nn.Sequential(*path) for path in paths if path)
        self.outputs = branches.one + three + double + (branches.projection or inputs)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return torch.cat([path(x_BCHW) for path in self.paths], 1)


class GoogLeNet(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes); in training to a pair of them, (main, auxiliary).

    19,124,528 parameters with 1,000 classes, 2,416,488 of them in the auxiliary head.
    """

    def __init__(self, n_classes: int, crop: int, *, norm: bool = False) -> None:
        super().__init__()
        # The stem ends where the auxiliary head branches off.
        self.stem = nn.Sequential(
            *_conv(3, 64, 7, stride=2, padding=3, norm=norm, relu=True),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            *_conv(64, 64, 1, norm=norm, relu=True),
            *_conv(64, 192, 3, padding=1, norm=norm, relu=True),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            *_stage(192, _STAGE3, norm),
            *_conv(576, 576, 2, stride=2, norm=norm),
            *_stage(576, _STAGE4, norm),
        )
        self.trunk = nn.Sequential(
            *_stage(576, (_LAST_OF_STAGE4,), norm),
            *_conv(1024, 1024, 2, stride=2, norm=norm),
            *_stage(1024, _STAGE5, norm),
        )
        channels, side = map_shape(nn.Sequential(self.stem, self.trunk), crop)
        self.head = nn.Sequential(nn.AvgPool2d(side), nn.Flatten(), nn.Linear(channels, n_classes))
        reduced = [nn.AvgPool2d(5, 3, ceil_mode=True), *_conv(576, 128, 1, norm=norm)]
        self.auxiliary = nn.Sequential(
            *reduced,
            nn.Flatten(),
            nn.Linear(flat_length(nn.Sequential(self.stem, *reduced), crop), 768),
            nn.ReLU(),
            nn.Linear(768, n_classes),
        )

    def forward(self, images_BCHW: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        stem = self.stem(images_BCHW)
        main: Tensor = self.head(self.trunk(stem))
        return (main, self.auxiliary(stem)) if self.training else main


def _stage(inputs: int, inceptions: tuple[Branches, ...], norm: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for branches in inceptions:
        layer = Inception(inputs, branches, norm)
        layers.append(layer)
        inputs = layer.outputs
    return layers


def _conv(
    inputs: int, outputs: int, size: int, *, stride: int = 1, padding: int = 0, norm: bool, relu: bool = False
) -> list[nn.Module]:
    """Return a convolution outside the inceptions. A ReLU follows it if ``relu`` or ``norm`` is true."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, size, stride, padding)]
    layers += [torch7_norm(outputs)] if norm else []
    return [*layers, nn.ReLU()] if relu or norm else layers
