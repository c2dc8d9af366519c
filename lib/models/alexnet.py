"""AlexNet as theano_alexnet trained it (arXiv:1412.2302): 60,965,224 parameters with 1,000 classes at crop 227.

The second, fourth and fifth convolution have two groups. The response norm comes after the pooling, as in CaffeNet,
and its alpha is not divided by the window.
"""

from torch import nn

from lib.models.layers import FeatureClassifier, ResponseNorm, init_gaussian


class AlexNet(FeatureClassifier):
    """theano_alexnet's AlexNet. Inputs are 0 to 255, less the mean image."""

    def __init__(self, n_classes: int, crop: int) -> None:
        features = nn.Sequential(
            _conv(3, 96, 11, stride=4, bias=0.0),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            ResponseNorm(),
            _conv(96, 256, 5, padding=2, groups=2, bias=0.1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            ResponseNorm(),
            _conv(256, 384, 3, padding=1, bias=0.0),
            nn.ReLU(),
            _conv(384, 384, 3, padding=1, groups=2, bias=0.1),
            nn.ReLU(),
            _conv(384, 256, 3, padding=1, groups=2, bias=0.0),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        classifier = nn.Sequential(
            nn.Flatten(),
            _linear(256 * features_side(crop) ** 2, 4096, std=0.005, bias=0.1),
            nn.ReLU(),
            nn.Dropout(0.5),
            _linear(4096, 4096, std=0.005, bias=0.1),
            nn.ReLU(),
            nn.Dropout(0.5),
            _linear(4096, n_classes, std=0.01, bias=0.0),
        )
        super().__init__(features, classifier)


def features_side(crop: int) -> int:
    """Return the side of the last feature map.

    >>> features_side(227), features_side(85)
    (6, 1)
    """
    side = (crop - 11) // 4 + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    return side


def _conv(
    inputs: int, outputs: int, size: int, *, bias: float, stride: int = 1, padding: int = 0, groups: int = 1
) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups)
    init_gaussian(layer, 0.01, bias)
    return layer


def _linear(inputs: int, outputs: int, *, std: float, bias: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    init_gaussian(layer, std, bias)
    return layer
