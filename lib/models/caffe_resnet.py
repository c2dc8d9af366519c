"""The ResNets of resnet-imagenet-caffe as its prototxts have them, for its published weights.

What its authors call 18 and 32 layers is ResNet-50 cut off: no global pooling, so a long last layer. Pooling
rounds up and does not pad, the first convolution has a bias, the stride is on the first 1x1 of a bottleneck.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from lib.models.layers import BatchNorm2d, init_msra, map_shape
from lib.models.residual import conv, stages, stride_on_first_1x1

# The last average pool of every prototxt.
_POOL = 7


class CaffeResNet(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes).

    ``tail`` adds what is left of a cut block: a 1x1 convolution to so many channels, norm, ReLU. Norms keep torch's
    running mean (0.1 of each batch) in place of Caffe's bias-corrected 0.001: an estimate of the same thing.
    """

    def __init__(self, n_classes: int, crop: int, *, counts: Sequence[int], tail: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3)
        self.bn1 = BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
        made, channels = stages(stride_on_first_1x1, counts)
        self.layers = nn.Sequential(*made)
        self.tail = _cut_block(channels, tail) if tail else nn.Identity()
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


def _cut_block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv(inputs, outputs, 1), BatchNorm2d(outputs), nn.ReLU())
