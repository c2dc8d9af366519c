"""VGG (arXiv:1409.1556) with the configurations of soumith's vgg.lua, and torchnet's small one.

Parameters are named as in torchvision; without norms the networks are the same.
"""

from typing import Literal

from torch import nn

from .layers import FeatureClassifier, flat_length, map_shape, threshold, torch7_norm

Table = Literal["A", "B", "D", "E"]

# Outputs of the 3x3 convolutions; M is a max-pool of 2.
TABLES: dict[Table, str] = {
    "A": "64 M 128 M 256 256 M 512 512 M 512 512 M",
    "B": "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    "D": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    "E": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}


class VGG(FeatureClassifier):
    """VGG; 132,863,336 parameters for table A with 1,000 classes.

    ``norm`` adds batch norms after the thresholds of the classifier, as in soumith's vggbn, and before the ReLUs of
    the convolutions, which vggbn lacks.
    """

    def __init__(self, n_classes: int, crop: int, *, table: Table, norm: bool = False) -> None:
        features = _features(table, norm)
        classifier = nn.Sequential(
            *_hidden(flat_length(features, crop), 4096, norm),
            *_hidden(4096, 4096, norm),
            nn.Linear(4096, n_classes),
        )
        super().__init__(features, classifier)


class SmallVGG(FeatureClassifier):
    """torchnet's vggbnv2; 9,734,504 parameters with 1,000 classes.

    The convolutions of table A, their mean over the image, a batch norm, and one linear layer.
    """

    def __init__(self, n_classes: int, crop: int) -> None:
        features = _features("A", norm=False)
        channels, side = map_shape(features, crop)
        classifier = nn.Sequential(torch7_norm(channels, linear=True), nn.Linear(channels, n_classes))
        super().__init__(features, classifier, nn.AvgPool2d(side))


def _features(table: Table, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = 3
    for entry in TABLES[table].split():
        if entry == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            outputs = int(entry)
            conv = nn.Conv2d(inputs, outputs, 3, padding=1)
            layers += [conv, torch7_norm(outputs), nn.ReLU()] if norm else [conv, nn.ReLU()]
            inputs = outputs
    return nn.Sequential(*layers)


def _hidden(inputs: int, outputs: int, norm: bool) -> list[nn.Module]:
    layers = [nn.Linear(inputs, outputs), threshold()]
    return [*layers, torch7_norm(outputs, linear=True), nn.Dropout(0.5)] if norm else [*layers, nn.Dropout(0.5)]
