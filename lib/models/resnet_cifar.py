"""The ResNets for images of 32 x 32 in section 4.2 of arXiv:1512.03385."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from .layers import BatchNorm2d, redraw_convolutions
from .resnet import Basic, build_stages, scaled


class ZeroPadded(nn.Module):
    """A shortcut without parameters: every ``stride``-th pixel, and zeros in the added channels (option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = outputs - inputs, stride

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return functional.pad(x_BCHW[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))


class CifarResNet(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes); stages of 16, 32 and 64 channels times ``width``."""

    def __init__(self, n_classes: int, crop: int, *, counts: Sequence[int], width: float = 1.0) -> None:
        super().__init__()
        first = scaled(16, width)
        self.conv1 = nn.Conv2d(3, first, 3, padding=1, bias=False)
        self.bn1 = BatchNorm2d(first)
        self.relu = nn.ReLU()
        (self.layer1, self.layer2, self.layer3), channels = build_stages(
            partial(Basic, shortcut=ZeroPadded), counts, first
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, n_classes)
        redraw_convolutions(self, "kaiming")

    def forward(self, images_BCHW: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(images_BCHW)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits
