"""AlexNet as soumith's imagenet-multiGPU.torch and torchnet train it: two towers, one tower, batch norm.

Initial values are Torch7's, which are torch's own: weights and biases from U(-s, s) with s = 1 / sqrt(fan-in).
"""

from torch import Tensor, nn

from lib.models.layers import map_shape, threshold, torch7_norm

# One Weird Trick (arXiv:1404.5997): outputs of the five convolutions.
_OWT = (64, 192, 384, 256, 256)


class AlexNetTowers(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes); 60,522,856 parameters with 1,000 classes.

    Two towers that each see the image and never meet before the classifier: two groups in every convolution
    but the first. No response norm.
    """

    def __init__(self, n_classes: int, crop: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv(3, 96, 11, stride=4, padding=2),
            nn.MaxPool2d(3, 2),
            *_conv(96, 256, 5, padding=2, groups=2),
            nn.MaxPool2d(3, 2),
            *_conv(256, 384, 3, padding=1, groups=2),
            *_conv(384, 384, 3, padding=1, groups=2),
            *_conv(384, 256, 3, padding=1, groups=2),
            nn.MaxPool2d(3, 2),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(_length(self.features, crop), 4096),
            threshold(),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            threshold(),
            nn.Linear(4096, n_classes),
        )

    def forward(self, images_BCHW: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images_BCHW).flatten(1))
        return logits


class AlexNetOwt(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes); 61,100,840 parameters with 1,000 classes.

    Without ``norm`` the names of its parameters are torchvision's. ``norm`` puts batch norm before every ReLU.
    """

    def __init__(self, n_classes: int, crop: int, *, norm: bool = False) -> None:
        super().__init__()
        self.features = _owt_features(norm)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            *_linear(_length(self.features, crop), 4096, norm),
            nn.Dropout(0.5),
            *_linear(4096, 4096, norm),
            nn.Linear(4096, n_classes),
        )

    def forward(self, images_BCHW: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images_BCHW).flatten(1))
        return logits


class AlexNetBN(nn.Module):
    """Images (B, 3, crop, crop) to logits (B, n_classes); 2,729,512 parameters with 1,000 classes.

    torchnet's: the convolutions of ``AlexNetOwt`` with batch norm, their mean over the image, one linear layer.
    """

    def __init__(self, n_classes: int, crop: int) -> None:
        super().__init__()
        self.features = _owt_features(norm=True)
        channels, side = map_shape(self.features, crop)
        self.pool = nn.AvgPool2d(side)
        self.classifier = nn.Sequential(torch7_norm(channels, linear=True), nn.Linear(channels, n_classes))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(images_BCHW)).flatten(1))
        return logits


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


def _length(features: nn.Module, crop: int) -> int:
    channels, side = map_shape(features, crop)
    return channels * side**2
