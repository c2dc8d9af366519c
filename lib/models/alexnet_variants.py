"""AlexNet as soumith's imagenet-multiGPU.torch and torchnet train it: two towers, one tower, and batch norm.

Initial values are Torch7's, which are also torch's: weights and biases from U(-s, s) with s = 1 / sqrt(fan-in).
"""

from torch import nn

from lib.models.layers import FeatureClassifier, flat_length, map_shape, threshold, torch7_norm

# Outputs of the five convolutions in One Weird Trick (arXiv:1404.5997).
_OWT = (64, 192, 384, 256, 256)


class AlexNetTowers(FeatureClassifier):
    """AlexNet with two towers, and no response norm; 60,522,856 parameters with 1,000 classes.

    Both towers see the whole image and are separate up to the classifier: all convolutions but the first have two
    groups.
    """

    def __init__(self, n_classes: int, crop: int) -> None:
        features = nn.Sequential(
            *_conv(3, 96, 11, stride=4, padding=2),
            nn.MaxPool2d(3, 2),
            *_conv(96, 256, 5, padding=2, groups=2),
            nn.MaxPool2d(3, 2),
            *_conv(256, 384, 3, padding=1, groups=2),
            *_conv(384, 384, 3, padding=1, groups=2),
            *_conv(384, 256, 3, padding=1, groups=2),
            nn.MaxPool2d(3, 2),
        )
        classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(flat_length(features, crop), 4096),
            threshold(),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            threshold(),
            nn.Linear(4096, n_classes),
        )
        super().__init__(features, classifier)


class AlexNetOwt(FeatureClassifier):
    """AlexNet with one tower; 61,100,840 parameters with 1,000 classes.

    Parameters are named as in torchvision, unless ``norm`` adds a batch norm before every ReLU.
    """

    def __init__(self, n_classes: int, crop: int, *, norm: bool = False) -> None:
        features = _owt_features(norm)
        classifier = nn.Sequential(
            nn.Dropout(0.5),
            *_linear(flat_length(features, crop), 4096, norm),
            nn.Dropout(0.5),
            *_linear(4096, 4096, norm),
            nn.Linear(4096, n_classes),
        )
        super().__init__(features, classifier)


class AlexNetBN(FeatureClassifier):
    """torchnet's AlexNet; 2,729,512 parameters with 1,000 classes.

    The convolutions of ``AlexNetOwt`` with batch norm, their mean over the image, and one linear layer.
    """

    def __init__(self, n_classes: int, crop: int) -> None:
        features = _owt_features(norm=True)
        channels, side = map_shape(features, crop)
        classifier = nn.Sequential(torch7_norm(channels, linear=True), nn.Linear(channels, n_classes))
        super().__init__(features, classifier, nn.AvgPool2d(side))


def _owt_features(norm: bool) -> nn.Sequential:
    c1, c2, c3, c4, c5 = _OWT
    return nn.Sequential(
        *_conv(3, c1, 11, stride=4, padding=2, norm=norm),
        nn.MaxPool2d(3, 2),
        *_conv(c1, c2, 5, padding=2, norm=norm),
        nn.MaxPool2d(3, 2),
        *_conv(c2, c3, 3, padding=1, norm=norm),
        *_conv(c3, c4, 3, padding=1, norm=norm),
        *_conv(c4, c5, 3, padding=1, norm=norm),
        nn.MaxPool2d(3, 2),
    )


def _conv(
    inputs: int, outputs: int, size: int, *, stride: int = 1, padding: int = 0, groups: int = 1, norm: bool = False
) -> list[nn.Module]:
    norms = [torch7_norm(outputs)] if norm else []
    return [nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups), *norms, nn.ReLU()]


def _linear(inputs: int, outputs: int, norm: bool) -> list[nn.Module]:
    norms = [torch7_norm(outputs, linear=True)] if norm else []
    return [nn.Linear(inputs, outputs), *norms, nn.ReLU()]
