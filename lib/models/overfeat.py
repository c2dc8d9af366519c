"""OverFeat (arXiv:1312.6229), the fast one, as soumith's imagenet-multiGPU.torch trains it."""

from torch import Tensor, nn

from lib.models.layers import map_shape, threshold


class OverFeat(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes); 111,317,864 parameters with 1,000 classes at crop 224."""

    def __init__(self, n_classes: int, crop: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
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
        channels, side = map_shape(self.features, crop)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(channels * side**2, 3072),
            threshold(),
            nn.Dropout(0.5),
            nn.Linear(3072, 4096),
            threshold(),
            nn.Linear(4096, n_classes),
        )

    def forward(self, images_BCHW: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images_BCHW).flatten(1))
        return logits
