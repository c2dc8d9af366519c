"""Initial values other than a network's own: soumith's ``wInit``, for convolutions only."""

import math
from typing import Literal

import torch
from torch import nn

Init = Literal["default", "kaiming", "xavier"]

# Variance of a weight, times kernel area and outputs.
_GAINS: dict[Init, float] = {"kaiming": 2.0, "xavier": 1.0}


@torch.no_grad()
def draw(model: nn.Module, init: Init) -> None:
    """Redraw the weights of every convolution from N(0, sqrt(gain / (kernel area * outputs))).

    The gain is 2 for ``kaiming`` (arXiv:1502.01852, fan-out) and 1 for ``xavier``; ``default`` changes nothing.
    Biases, norms and linear layers keep the network's own values.
    """
    if init == "default":
        return
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.out_channels * math.prod(layer.kernel_size)
            layer.weight.normal_(0.0, math.sqrt(_GAINS[init] / fan_out))
