"""A network small enough for a laptop: one of each kind of layer that AlexNet has. For tests and first steps."""

from torch import Tensor, nn

from lib.models.layers import ResponseNorm


class Tiny(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes)."""

    def __init__(self, n_classes: int, crop: int, dropout: float = 0.2) -> None:
        super().__init__()
        side = ((crop - 5) // 2 + 1) // 2
        window = side // 2
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            ResponseNorm(),
            nn.Conv2d(16, 32, 3, padding=1, groups=2),
            nn.ReLU(),
            nn.AvgPool2d(window),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(32 * (side // window) ** 2, n_classes)
        )

    def forward(self, images_BCHW: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images_BCHW / 64))
        return logits
