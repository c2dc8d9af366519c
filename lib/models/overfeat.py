"""OverFeat (arXiv:1312.6229), the fast model, as soumith's imagenet-multiGPU.torch trains it."""

from torch import nn

from lib.models.layers import FeatureClassifier, flat_length, threshold


class OverFeat(FeatureClassifier):
    """soumith's OverFeat; 111,317,864 parameters with 1,000 classes at crop 224."""

    def __init__(self, n_classes: int, crop: int) -> None:
        features = nn.Sequential(
            nn.Conv2d(3, 96, 11, 4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(96, 256, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(256, 512, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(512, 1024, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(1024, 1024, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(flat_length(features, crop), 3072),
            threshold(),
            nn.Dropout(0.5),
            nn.Linear(3072, 4096),
            threshold(),
            nn.Linear(4096, n_classes),
        )
        super().__init__(features, classifier)
