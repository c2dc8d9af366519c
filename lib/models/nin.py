"""Network in Network (arXiv:1312.4400) with batch norm, as soumith's imagenet-multiGPU.torch trains it."""

from torch import Tensor, nn

from .layers import map_shape, torch7_norm


class NiN(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes); 8,655,336 parameters with 1,000 classes.

    soumith's last layer always has 1,000 outputs; this one has ``n_classes``.
    """

    def __init__(self, n_classes: int, crop: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_block(3, 96, 11, stride=4, padding=5),
            nn.MaxPool2d(3, 2, 1),
            *_block(96, 256, 5, padding=2),
            nn.MaxPool2d(3, 2, 1),
            *_block(256, 384, 3, padding=1),
            nn.MaxPool2d(3, 2, 1),
            *_block(384, 1024, 3, padding=1),
        )
        channels, side = map_shape(self.features, crop)
        self.pool = nn.AvgPool2d(side)
        self.classifier = nn.Linear(channels, n_classes)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(images_BCHW)).flatten(1))
        return logits


def _block(inputs: int, outputs: int, size: int, *, stride: int = 1, padding: int) -> list[nn.Module]:
    """Return a convolution and two 1x1 after it, each with batch norm and ReLU."""
    first = nn.Conv2d(inputs, outputs, size, stride, padding)
    convolutions = [first, nn.Conv2d(outputs, outputs, 1), nn.Conv2d(outputs, outputs, 1)]
    return [layer for conv in convolutions for layer in (conv, torch7_norm(outputs), nn.ReLU())]
