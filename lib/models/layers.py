"""Layers and initial values that two or more networks share."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResponseNorm(nn.Module):
    """Local response norm across channels: x / (k + alpha * sum of x^2 over ``n`` neighbouring channels)^beta.

    Here ``alpha`` is not divided by ``n``, as in pylearn2's CrossChannelNormalization; torch's LocalResponseNorm
    divides, and so takes 5 times this alpha for n = 5. Written as plain arithmetic: unlike torch's, it
    is deterministic on GPUs.
    """

    def __init__(self, n: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        self.n, self.alpha, self.beta, self.k = n, alpha, beta, k

    def forward(self, x_BCHW: Tensor) -> Tensor:
        channels = x_BCHW.shape[1]
        squares = x_BCHW.float().square()  # a sum of squares wants more than bfloat16's 8 bits
        squares = functional.pad(squares, (0, 0, 0, 0, self.n // 2, (self.n - 1) // 2))
        total = squares[:, :channels]
        for i in range(1, self.n):
            total = total + squares[:, i : i + channels]
        scale = (self.k + self.alpha * total).pow(-self.beta)
        return x_BCHW * scale.to(x_BCHW.dtype)


@torch.no_grad()
def init_gaussian(layer: nn.Conv2d | nn.Linear, std: float, bias: float) -> None:
    """Weights from N(0, std), every bias ``bias``."""
    layer.weight.normal_(0.0, std)
    if layer.bias is not None:
        layer.bias.fill_(bias)
