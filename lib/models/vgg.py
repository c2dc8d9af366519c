"""VGG (arXiv:1409.1556) by the tables of soumith's vgg.lua, and torchnet's small one.

Parameters are named as torchvision names them; without norms they are the same networks.
"""

from typing import Literal

from torch import Tensor, nn

from lib.models.layers import BatchNorm1d, map_shape, threshold, torch7_norm

Table = Literal["A", "B", "D", "E"]

# Outputs of the 3x3 convolutions; M is a max-pool of 2.
TABLES: dict[Table, str] = {
    "A": "64 M 128 M 256 256 M 512 512 M 512 512 M",
    "B": "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    "D": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    "E": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}


class VGG(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes); 132,863,336 parameters for A with 1,000 classes.

    ``norm`` puts batch norm where soumith's vggbn has it, after the thresholds of the classifier, and, which
    that lacks, before the ReLUs of the convolutions.
    """

    def __init__(self, n_classes: int, crop: int, *, table: Table, norm: bool = False) -> None:
        super().__init__()
        self.features = _features(table, norm)
        channels, side = map_shape(self.features, crop)
        self.classifier = nn.Sequential(
            nn.Linear(channels * side**2, 4096),
            threshold(),
            *_norms(norm),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            threshold(),
            *_norms(norm),
            nn.Dropout(0.5),
            nn.Linear(4096, n_classes),
        )

    def forward(self, images_BCHW: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images_BCHW).flatten(1))
        return logits


class SmallVGG(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes); 9,734,504 parameters with 1,000 classes.

    torchnet's vggbnv2: the convolutions of A, their mean over the image, batch norm, one linear layer.
    """

    def __init__(self, n_classes: int, crop: int) -> None:
        super().__init__()
        self.features = _features("A", norm=False)
        channels, side = map_shape(self.features, crop)
        self.pool = nn.AvgPool2d(side)
        self.classifier = nn.Sequential(torch7_norm(channels, linear=True), nn.Linear(channels, n_classes))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(images_BCHW)).flatten(1))
        return logits


def _features(table: Table, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = 3
    for entry in TABLES[table].split():
        if entry == "M":
            layers.append(nn.MaxPool2d(2))
            continue
        outputs = int(entry)
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
        layers += [torch7_norm(outputs)] if norm else []
        layers.append(nn.ReLU())
        inputs = outputs
    return nn.Sequential(*layers)


def _norms(norm: bool) -> list[BatchNorm1d | nn.BatchNorm2d]:
    return [torch7_norm(4096, linear=True)] if norm else []
