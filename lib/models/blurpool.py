"""An activation, and a blur before every second pixel is dropped (arXiv:1904.11486), so that shifts matter less."""

import importlib
import importlib.util

import torch
from torch import Tensor, nn
from torch.nn import functional

NAMES: dict[type[nn.Module], str] = {nn.Identity: "none", nn.ReLU: "relu", nn.SiLU: "silu", nn.Mish: "mish"}


class BlurPool(nn.Module):
    """``activation`` and a blur with stride 2: (B, C, H, W) to (B, C, H / 2, W / 2), rounded up.

    On a GPU one kernel does both.
    """

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation
        self._has_kernel = importlib.util.find_spec("triton") is not None
        if self._has_kernel:
            importlib.import_module("..kernels.blur", __package__)  # registers the operator

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if self._has_kernel and x_BCHW.is_cuda:
            y_BCHW: Tensor = torch.ops.alexnet_trainer.activated_blur(x_BCHW, NAMES[type(self.activation)])
            return y_BCHW
        return blurred(self.activation(x_BCHW))


def blurred(x_BCHW: Tensor) -> Tensor:
    """Return every second pixel of the map blurred with [1, 2, 1] / 4 down and across; it is reflected at its edges.

    [1, 2, 1] / 4 is the mean of two pixels, twice.
    """
    padded = functional.pad(x_BCHW, (1, 1, 1, 1), mode="reflect")
    return functional.avg_pool2d(functional.avg_pool2d(padded, 2, 1), 2, 2)
