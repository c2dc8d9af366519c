"""A network small enough for a laptop, with every kind of layer that AlexNet has: for tests and first steps."""

from torch import Tensor, nn

from .layers import FeatureClassifier, ResponseNorm


class Tiny(FeatureClassifier):
    """Two convolutions and a linear layer."""

    def __init__(self, n_classes: int, crop: int, dropout: float = 0.2) -> None:
        side = ((crop - 5) // 2 + 1) // 2
        window = side // 2
        features = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            ResponseNorm(),
            nn.Conv2d(16, 32, 3, padding=1, groups=2),
            nn.ReLU(),
            nn.AvgPool2d(window),
        )
        last = nn.Linear(32 * (side // window) ** 2, n_classes)
        super().__init__(features, nn.Sequential(nn.Flatten(), nn.Dropout(dropout), last))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return super().forward(images_BCHW / 64)
