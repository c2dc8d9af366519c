"""Layers and initial values shared by two or more networks."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


class FeatureClassifier(nn.Module):
    """``features``, an optional ``pool``, and ``classifier``: images (B, 3, crop, crop) to logits (B, n_classes)."""

    def __init__(self, features: nn.Sequential, classifier: nn.Sequential, pool: nn.Module | None = None) -> None:
        super().__init__()
        self.features = features
        self.pool = pool or nn.Identity()
        self.classifier = classifier

    def forward(self, images_BCHW: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(images_BCHW)).flatten(1))
        return logits


class ResponseNorm(nn.Module):
    """Local response norm across channels: x / (k + alpha * sum of x^2 over ``n`` neighboring channels)^beta.

    ``alpha`` is not divided by ``n``, as in pylearn2's CrossChannelNormalization. torch's LocalResponseNorm divides,
    so for n = 5 it needs 5 times this alpha. Unlike torch's, this one is deterministic on GPUs.
    """

    def __init__(self, n: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        self.n, self.alpha, self.beta, self.k = n, alpha, beta, k

    def forward(self, x_BCHW: Tensor) -> Tensor:
        channels = x_BCHW.shape[1]
        squares = x_BCHW.float().square()  # bfloat16's 8 bits are too few for a sum of squares
        squares = functional.pad(squares, (0, 0, 0, 0, self.n // 2, (self.n - 1) // 2))
        total = squares[:, :channels]
        for i in range(1, self.n):
            total = total + squares[:, i : i + channels]
        scale = (self.k + self.alpha * total).pow(-self.beta)
        return x_BCHW * scale.to(x_BCHW.dtype)


def redraw_convolutions(model: nn.Module, init: str) -> None:
    """Draw the weights of every convolution from N(0, sqrt(gain / fan-out)), soumith's ``wInit``.

    The gain is 2 for ``kaiming`` (arXiv:1502.01852) and 1 for ``xavier``; ``default`` changes nothing.
    """
    for layer in model.modules():
        if init != "default" and isinstance(layer, nn.Conv2d):
            nonlinearity: Literal["relu", "linear"] = "relu" if init == "kaiming" else "linear"
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity=nonlinearity)


def threshold_classifier(inputs: int, hidden: tuple[int, int], n_classes: int) -> nn.Sequential:
    """Return soumith's classifier of three linear layers, with dropout before the first two of them."""
    first, second = hidden
    return nn.Sequential(
        nn.Dropout(0.5),
        nn.Linear(inputs, first),
        threshold(),
        nn.Dropout(0.5),
        nn.Linear(first, second),
        threshold(),
        nn.Linear(second, n_classes),
    )


def threshold() -> nn.Threshold:
    """Return Torch7's Threshold(0, 1e-6), which soumith puts after linear layers: values up to 0 become 1e-6."""
    return nn.Threshold(0.0, 1e-6)


class BatchNorm1d(nn.BatchNorm1d):
    """torch's batch norm, except that a batch of one image, which has no variance, uses the running statistics."""

    def forward(self, input: Tensor) -> Tensor:
        # Evaluation must not branch on the batch size: an exported network accepts any.
        single = self.training and len(input) == 1
        return _by_running_statistics(self, input) if single else super().forward(input)


class BatchNorm2d(nn.BatchNorm2d):
    """torch's batch norm, except that one image with a map of one pixel uses the running statistics."""

    def forward(self, input: Tensor) -> Tensor:
        single = self.training and input.numel() == input.shape[1]
        return _by_running_statistics(self, input) if single else super().forward(input)


def conv_relu(
    inputs: int, outputs: int, size: int, *, stride: int = 1, padding: int = 0, groups: int = 1, norm: bool = False
) -> list[nn.Module]:
    """Return a convolution and its ReLU, with a batch norm between them if ``norm``."""
    norms = [torch7_norm(outputs)] if norm else []
    return [nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups), *norms, nn.ReLU()]


def torch7_norm(channels: int, *, linear: bool = False) -> BatchNorm1d | BatchNorm2d:
    """Return a batch norm as in Torch7: eps 1e-3, and gamma drawn from U(0, 1)."""
    norm = (BatchNorm1d if linear else BatchNorm2d)(channels, eps=1e-3)
    nn.init.uniform_(norm.weight)
    return norm


def map_shape(features: nn.Module, crop: int) -> tuple[int, int]:
    """Return the channels and side of the output of ``features`` for images (B, 3, crop, crop), without computing it.

    Raises RuntimeError if the output of a layer would be empty.
    """
    state = {name: t.detach().to("meta") for name, t in (*features.named_parameters(), *features.named_buffers())}
    images = torch.empty(2, 3, crop, crop, device="meta")
    shape = torch.func.functional_call(features, state, (images,)).shape
    return int(shape[1]), int(shape[2])


def flat_length(features: nn.Module, crop: int) -> int:
    """Return the length of the flattened output of ``features``; see ``map_shape``."""
    channels, side = map_shape(features, crop)
    return channels * side**2


def _by_running_statistics(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    return functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
