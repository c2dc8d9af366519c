"""AlexNet as soumith's imagenet-multiGPU.torch and torchnet train it: two towers, one tower, and batch norm.

Initial values are Torch7's, which are also torch's: weights and biases from U(-s, s) with s = 1 / sqrt(fan-in).
"""

from torch import nn

from .layers import FeatureClassifier, conv_relu, flat_length, map_shape, threshold_classifier, torch7_norm


class AlexNetTowers(FeatureClassifier):
    """AlexNet with two towers, and no response norm; 60,522,856 parameters with 1,000 classes.

    Both towers see the whole image and are separate up to the classifier: all convolutions but the first have two
    groups.
    """

    def __init__(self, n_classes: int, crop: int) -> None:
        features = nn.Sequential(
            *conv_relu(3, 96, 11, stride=4, padding=2),
            nn.MaxPool2d(3, 2),
            *conv_relu(96, 256, 5, padding=2, groups=2),
            nn.MaxPool2d(3, 2),
            *conv_relu(256, 384, 3, padding=1, groups=2),
            *conv_relu(384, 384, 3, padding=1, groups=2),
            *conv_relu(384, 256, 3, padding=1, groups=2),
            nn.MaxPool2d(3, 2),
        )
        super().__init__(features, threshold_classifier(flat_length(features, crop), (4096, 4096), n_classes))


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
    """Return the convolutions of One Weird Trick (arXiv:1404.5997)."""
    return nn.Sequential(
        *conv_relu(3, 64, 11, stride=4, padding=2, norm=norm),
        nn.MaxPool2d(3, 2),
        *conv_relu(64, 192, 5, padding=2, norm=norm),
        nn.MaxPool2d(3, 2),
        *conv_relu(192, 384, 3, padding=1, norm=norm),
        *conv_relu(384, 256, 3, padding=1, norm=norm),
        *conv_relu(256, 256, 3, padding=1, norm=norm),
        nn.MaxPool2d(3, 2),
    )


def _linear(inputs: int, outputs: int, norm: bool) -> list[nn.Module]:
    norms = [torch7_norm(outputs, linear=True)] if norm else []
    return [nn.Linear(inputs, outputs), *norms, nn.ReLU()]
