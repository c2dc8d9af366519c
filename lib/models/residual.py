"""Residual blocks (arXiv:1512.03385). Parameters are named as in torchvision."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from lib.models.layers import BatchNorm2d


class Basic(nn.Module):
    """Two 3x3 convolutions plus their input: (B, inputs, H, W) to (B, width, H / stride, W / stride)."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(inputs, width, 3, stride)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = conv(width, width, 3)
        self.bn2 = BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x_BCHW)))
        out = self.bn2(self.conv2(out)) + self.downsample(x_BCHW)
        return self.relu(out)  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1, plus their input: (B, inputs, H, W) to (B, 4 width, H / s, W / s).

    ``strides`` are those of the first 1x1 and of the 3x3; s is their product.
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, strides: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = conv(inputs, width, 1, strides[0])
        self.bn1 = BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, strides[1])
        self.bn2 = BatchNorm2d(width)
        self.conv3 = conv(width, 4 * width, 1)
        self.bn3 = BatchNorm2d(4 * width)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(inputs, 4 * width, strides[0] * strides[1])

    def forward(self, x_BCHW: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x_BCHW)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out)) + self.downsample(x_BCHW)
        return self.relu(out)  # type: ignore[no-any-return]


def stride_on_3x3(inputs: int, width: int, stride: int) -> Bottleneck:
    """Return a bottleneck as in torchvision."""
    return Bottleneck(inputs, width, (1, stride))


def stride_on_first_1x1(inputs: int, width: int, stride: int) -> Bottleneck:
    """Return a bottleneck as first published, and as in Caffe's prototxts."""
    return Bottleneck(inputs, width, (stride, 1))


Block = Callable[[int, int, int], Basic | Bottleneck]


def build_stages(block: Block, counts: Sequence[int]) -> tuple[list[nn.Sequential], int]:
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


def conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution padded to keep the size of the map, without bias: a norm with a bias follows it."""
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(conv(inputs, outputs, 1, stride), BatchNorm2d(outputs))
