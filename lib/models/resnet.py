"""ResNet (arXiv:1512.03385) as in torchvision, with its parameter names, and as in Caffe's prototxts; ResNet-D."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from .blurpool import BlurPool
from .layers import BatchNorm2d, map_shape, redraw_convolutions


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution padded to keep the size of the map, without bias: a norm with a bias follows it."""
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return a shortcut: the input itself, or a 1x1 convolution and a norm where its shape differs."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(_conv(inputs, outputs, 1, stride), BatchNorm2d(outputs))


def _pooled_projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return ResNet-D's shortcut: it averages the pixels of a stride, of which ``projection`` drops three in four."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    # Rounds up, as the strided convolution beside it does.
    pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
    return nn.Sequential(pool, _conv(inputs, outputs, 1), BatchNorm2d(outputs))


def _stem(outputs: int) -> nn.Module:
    return nn.Conv2d(3, outputs, 7, 2, 3, bias=False)


def _deep_stem(outputs: int) -> nn.Module:
    """Return ResNet-D's stem, three 3x3 convolutions in place of one 7x7."""
    half = scaled(outputs, 0.5)
    first = (_conv(3, half, 3, 2), BatchNorm2d(half), nn.ReLU())
    return nn.Sequential(*first, _conv(half, half, 3), BatchNorm2d(half), nn.ReLU(), _conv(half, outputs, 3))


def scaled(channels: int, width: float) -> int:
    """Return ``channels`` times ``width``, rounded to a multiple of 8, which matrix units of GPUs need.

    >>> scaled(64, 1.5), scaled(64, 0.7)
    (96, 48)
    """
    return max(8, round(channels * width / 8) * 8)


def _strided(size: int, inputs: int, outputs: int, stride: int, *, blurpool: bool) -> tuple[nn.Conv2d, nn.Module]:
    """Return a convolution, and the activation after its norm: one of them has the stride.

    With ``blurpool`` it is the activation, which blurs the map before it drops pixels.
    """
    if blurpool and stride > 1:
        return _conv(inputs, outputs, size), BlurPool(nn.ReLU())
    return _conv(inputs, outputs, size, stride), nn.ReLU()


Shortcut = Callable[[int, int, int], nn.Module]
"""(inputs, outputs, stride) -> what brings a block's input to the shape of its output"""


class Basic(nn.Module):
    """Two 3x3 convolutions plus their input: (B, inputs, H, W) to (B, width, H / stride, W / stride)."""

    expansion = 1

    def __init__(
        self, inputs: int, width: int, stride: int, *, shortcut: Shortcut = projection, blurpool: bool = False
    ) -> None:
        super().__init__()
        self.conv1, self.relu1 = _strided(3, inputs, width, stride, blurpool=blurpool)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.downsample = shortcut(inputs, width, stride)

    @property
    def last_norm(self) -> BatchNorm2d:
        return self.bn2

    def forward(self, x_BCHW: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x_BCHW)))
        out = self.bn2(self.conv2(out)) + self.downsample(x_BCHW)
        return self.relu(out)  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1, plus their input: (B, inputs, H, W) to (B, 4 width, H / stride, W / stride).

    The stride is on the 3x3, as in torchvision, or on the first 1x1, as first published and in Caffe's prototxts.
    """

    expansion = 4

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int,
        *,
        stride_on_first: bool = False,
        shortcut: Shortcut = projection,
        blurpool: bool = False,
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_on_first else (1, stride)
        self.conv1 = _conv(inputs, width, 1, first)
        self.bn1 = BatchNorm2d(width)
        self.conv2, self.relu2 = _strided(3, width, width, second, blurpool=blurpool)
        self.bn2 = BatchNorm2d(width)
        self.conv3 = _conv(width, 4 * width, 1)
        self.bn3 = BatchNorm2d(4 * width)
        self.relu = nn.ReLU()
        self.downsample = shortcut(inputs, 4 * width, stride)

    @property
    def last_norm(self) -> BatchNorm2d:
        return self.bn3

    def forward(self, x_BCHW: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x_BCHW)))
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out)) + self.downsample(x_BCHW)
        return self.relu(out)  # type: ignore[no-any-return]


Block = Callable[[int, int, int], Basic | Bottleneck]
BlockType = Callable[..., Basic | Bottleneck]


class ResNet(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes).

    With ``zero_last_norms`` every block begins as its shortcut (arXiv:1706.02677). ``width`` is a factor of all numbers
    of channels. With ``blurpool`` maps are blurred wherever pixels are dropped (arXiv:1904.11486).
    """

    def __init__(
        self,
        n_classes: int,
        crop: int,
        *,
        block: BlockType,
        counts: Sequence[int],
        stem: Callable[[int], nn.Module] = _stem,
        zero_last_norms: bool = False,
        width: float = 1.0,
        blurpool: bool = False,
    ) -> None:
        super().__init__()
        first = scaled(64, width)
        self.conv1 = stem(first)
        self.bn1 = BatchNorm2d(first)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 1 if blurpool else 2, 1)
        self.blurpool = BlurPool(nn.Identity()) if blurpool else nn.Identity()
        stages, channels = build_stages(partial(block, blurpool=blurpool), counts, first)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, n_classes)
        redraw_convolutions(self, "kaiming")
        for layer in self.modules():
            if zero_last_norms and isinstance(layer, Basic | Bottleneck):
                nn.init.zeros_(layer.last_norm.weight)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        x = self.blurpool(self.maxpool(self.relu(self.bn1(self.conv1(images_BCHW)))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


basic = partial(ResNet, block=Basic)
bottleneck = partial(ResNet, block=Bottleneck)
# ResNet-D of arXiv:1812.01187, with timm's parameter names.
_resnet_d = partial(ResNet, stem=_deep_stem, zero_last_norms=True)
basic_d = partial(_resnet_d, block=partial(Basic, shortcut=_pooled_projection))
bottleneck_d = partial(_resnet_d, block=partial(Bottleneck, shortcut=_pooled_projection))


class CaffeResNet(nn.Module):
    """A network of resnet-imagenet-caffe as in its prototxts, so that its weights load; shapes as of ``ResNet``.

    Compared were resnet_18, resnet_32 and resnet_50.prototxt of commit b98387e: every layer, its blobs' names, fillers
    and the transform of its data. Weights are published of the one with 32 layers only.

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
        stages, channels = build_stages(partial(Bottleneck, stride_on_first=True), counts)
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


def build_stages(block: Block, counts: Sequence[int], first: int = 64) -> tuple[list[nn.Sequential], int]:
    """Return stages with ``counts`` blocks for an input of ``first`` channels, and the output channels of the last one.

    Each stage doubles the width. All but the first halve the map.
    """
    stages: list[nn.Sequential] = []
    channels = first
    for number, count in enumerate(counts):
        blocks: list[nn.Module] = []
        for i in range(count):
            width, stride = first * 2**number, 2 if number and i == 0 else 1
            blocks.append(layer := block(channels, width, stride))
            channels = width * layer.expansion
        stages.append(nn.Sequential(*blocks))
    return stages, channels
