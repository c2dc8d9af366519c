"""ResNet (arXiv:1512.03385) as in torchvision, with its parameter names: a bottleneck's stride is on its 3x3."""

from collections.abc import Sequence

from torch import Tensor, nn

from lib.models.layers import BatchNorm2d, map_shape
from lib.models.residual import Basic, Block, build_stages, stride_on_3x3


class ResNet(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes)."""

    def __init__(self, n_classes: int, crop: int, *, block: Block, counts: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        (self.layer1, self.layer2, self.layer3, self.layer4), channels = build_stages(block, counts)
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


def basic(n_classes: int, crop: int, *, counts: Sequence[int]) -> ResNet:
    """Return ResNet-18 or 34."""
    return ResNet(n_classes, crop, block=Basic, counts=counts)


def bottleneck(n_classes: int, crop: int, *, counts: Sequence[int]) -> ResNet:
    """Return ResNet-50, 101 or 152."""
    return ResNet(n_classes, crop, block=stride_on_3x3, counts=counts)
