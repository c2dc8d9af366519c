"""The ResNets of resnet-imagenet-caffe as in its prototxts, for its published weights.

Its networks with 18 and 32 layers are ResNet-50, truncated: without global pooling, so the last layer is long. Pooling
rounds up and does not pad, the first convolution has a bias, and a bottleneck's stride is on its first 1x1.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from lib.models.layers import BatchNorm2d, init_msra, map_shape
from lib.models.residual import build_stages, conv, stride_on_first_1x1

# The last average pooling in every prototxt.
_POOL = 7


class CaffeResNet(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes).

    ``tail`` adds the rest of a truncated block: a 1x1 convolution with that many outputs, a norm and a ReLU. Norms
    have torch's running mean (0.1 of each batch) instead of Caffe's bias-corrected 0.001: both estimate the same.
    """

    def __init__(self, n_classes: int, crop: int, *, counts: Sequence[int], tail: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3)
        self.bn1 = BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
        stages, channels = build_stages(stride_on_first_1x1, counts)
        self.layers = nn.Sequential(*stages)
        self.tail = _truncated_block(channels, tail) if tail else nn.Identity()
        channels, side = map_shape(nn.Sequential(*self.children()), crop)
        window = min(_POOL, side)
        self.avgpool = nn.AvgPool2d(window, 1)
        self.fc = nn.Linear(channels * (side - window + 1) ** 2, n_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                init_msra(layer)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images_BCHW))))
        logits: Tensor = self.fc(self.avgpool(self.tail(self.layers(x))).flatten(1))
        return logits


def _truncated_block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv(inputs, outputs, 1), BatchNorm2d(outputs), nn.ReLU())
