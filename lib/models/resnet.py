"""ResNet (arXiv:1512.03385) as in torchvision, with its parameter names, and as in Caffe's prototxts."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from lib.models.layers import BatchNorm2d, map_shape


class Basic(nn.Module):
    """Two 3x3 convolutions plus their input: (B, inputs, H, W) to (B, width, H / stride, W / stride)."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, width, 3, stride)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x_BCHW)))
        out = self.bn2(self.conv2(out)) + self.downsample(x_BCHW)
        return self.relu(out)  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1, plus their input: (B, inputs, H, W) to (B, 4 width, H / stride, W / stride).

    The stride is on the 3x3, as in torchvision, or on the first 1x1, as first published and in Caffe's prototxts.
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, *, stride_on_first: bool = False) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_on_first else (1, stride)
        self.conv1 = _conv(inputs, width, 1, first)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, second)
        self.bn2 = BatchNorm2d(width)
        self.conv3 = _conv(width, 4 * width, 1)
        self.bn3 = BatchNorm2d(4 * width)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(inputs, 4 * width, stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x_BCHW)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out)) + self.downsample(x_BCHW)
        return self.relu(out)  # type: ignore[no-any-return]


Block = Callable[[int, int, int], Basic | Bottleneck]


class ResNet(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes)."""

    def __init__(self, n_classes: int, crop: int, *, block: Block, counts: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        (self.layer1, self.layer2, self.layer3, self.layer4), channels = _build_stages(block, counts)
        _, side = map_shape(nn.Sequential(*self.children()), crop)
        self.avgpool = nn.AvgPool2d(side)
        self.fc = nn.Linear(channels, n_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images_BCHW: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images_BCHW))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


basic = partial(ResNet, block=Basic)
bottleneck = partial(ResNet, block=Bottleneck)


class CaffeResNet(nn.Module):
    """A network of resnet-imagenet-caffe as in its prototxts, for its published weights; shapes as of ``ResNet``.

    Those with 18 and 32 layers are ResNet-50, truncated: without global pooling, so the last layer is long. ``tail``
    adds the rest of a truncated block: a 1x1 convolution with that many outputs, a norm and a ReLU. Pooling rounds up
    and does not pad, the first convolution has a bias, and norms have torch's running mean (0.1 of each batch) instead
    of Caffe's bias-corrected 0.001: both estimate the same.
    """

    def __init__(self, n_classes: int, crop: int, *, counts: Sequence[int], tail: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3)
        self.bn1 = BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
        stages, channels = _build_stages(partial(Bottleneck, stride_on_first=True), counts)
        self.layers = nn.Sequential(*stages)
        truncated_block = (_conv(channels, tail, 1), BatchNorm2d(tail), nn.ReLU()) if tail else ()
        self.tail = nn.Sequential(*truncated_block)
        channels, side = map_shape(nn.Sequential(*self.children()), crop)
        window = min(7, side)  # the last average pooling in every prototxt is 7
        self.avgpool = nn.AvgPool2d(window, 1)
        self.fc = nn.Linear(channels * (side - window + 1) ** 2, n_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # Caffe's msra filler
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images_BCHW))))
        logits: Tensor = self.fc(self.avgpool(self.tail(self.layers(x))).flatten(1))
        return logits


def _build_stages(block: Block, counts: Sequence[int]) -> tuple[list[nn.Sequential], int]:
    """Return stages with ``counts`` blocks for an input of 64 channels, and the output channels of the last one.

    Each stage doubles the width. All but the first halve the map.
    """
    stages: list[nn.Sequential] = []
    channels = 64
    for number, count in enumerate(counts):
        blocks: list[nn.Module] = []
        for i in range(count):
            width, stride = 64 * 2**number, 2 if number and i == 0 else 1
            blocks.append(layer := block(channels, width, stride))
            channels = width * layer.expansion
        stages.append(nn.Sequential(*blocks))
    return stages, channels


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution padded to keep the size of the map, without bias: a norm with a bias follows it."""
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(_conv(inputs, outputs, 1, stride), BatchNorm2d(outputs))
