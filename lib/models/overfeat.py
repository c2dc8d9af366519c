"""OverFeat (arXiv:1312.6229), the fast model, as soumith's imagenet-multiGPU.torch trains it."""

from torch import nn

from .layers import FeatureClassifier, conv_relu, flat_length, threshold_classifier


class OverFeat(FeatureClassifier):
    """soumith's OverFeat; 111,317,864 parameters with 1,000 classes at crop 224."""

    def __init__(self, n_classes: int, crop: int) -> None:
        features = nn.Sequential(
            *conv_relu(3, 96, 11, stride=4),
            nn.MaxPool2d(2),
            *conv_relu(96, 256, 5),
            nn.MaxPool2d(2),
            *conv_relu(256, 512, 3, padding=1),
            *conv_relu(512, 1024, 3, padding=1),
            *conv_relu(1024, 1024, 3, padding=1),
            nn.MaxPool2d(2),
        )
        super().__init__(features, threshold_classifier(flat_length(features, crop), (3072, 4096), n_classes))
