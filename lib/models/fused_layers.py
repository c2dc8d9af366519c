"""Convolutions and linear layers by hand, forwards and backwards, for networks that are fused.

Gradients of weights go where they are wanted; none is added to what was there. Tensors between layers are tuples, one
tensor (B, H, W, C / groups) for each group of the layer that eats them.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Groups = tuple[Tensor, ...]

BLOCK = 4
"""side of the squares of pixels that become channels: the stride of the first convolution"""


class Parameters(NamedTuple):
    """A layer's weight and bias in the type to compute in, and where their gradients go."""

    weight: Tensor
    bias: Tensor
    weight_gradient: Tensor
    bias_gradient: Tensor

    @classmethod
    def of(cls, name: str, weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> "Parameters":
        """Those of the layer ``name``."""
        keys = f"{name}.weight", f"{name}.bias"
        return cls(*(weights[key] for key in keys), *(gradients[key] for key in keys))


class Linear:
    """y = x W^T + b. The bias's gradient is its user's affair."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.x_BC = parameters.weight.new_empty(0)
        """the last input, until the backward pass has used it"""

    def forward(self, x_BC: Tensor) -> Tensor:
        self.x_BC = x_BC
        return torch.addmm(self.parameters.bias, x_BC, self.parameters.weight.t())

    def backward(self, g_BC: Tensor) -> Tensor:
        torch.mm(g_BC.t(), self.x_BC, out=self.parameters.weight_gradient)
        return g_BC @ self.parameters.weight


class Convolution:
    """Each group a plain convolution with stride 1, without bias; weights are copied to channels-last once a step."""

    wants_dx = True

    def __init__(self, layer: nn.Conv2d, parameters: Parameters) -> None:
        self.groups = layer.groups
        self._padding = [int(padding) for padding in layer.padding]
        self._source, self._gradient = parameters.weight, parameters.weight_gradient
        self._weight = self._empty_weight()
        self._xs: Groups = ()

    def forward(self, xs: Groups) -> Groups:
        self._xs = xs
        self._copy_weight()
        return tuple(
            _channels_last(functional.conv2d(_channels_second(x), weight, padding=self._padding))
            for x, weight in zip(xs, self._weight.chunk(self.groups), strict=True)
        )

    def backward(self, gs: Groups) -> Groups:
        dxs, weight_gradients = [], []
        for g, x, weight in zip(gs, self._xs, self._weight.chunk(self.groups), strict=True):
            dx, dw, _ = torch.ops.aten.convolution_backward(
                _channels_second(g), _channels_second(x), weight, None, [1, 1], self._padding, [1, 1], False, [0, 0],
                1, [self.wants_dx, True, False],
            )  # fmt: skip
            dxs += [_channels_last(dx)] if self.wants_dx else []
            weight_gradients.append(dw)
        self._keep_gradient(weight_gradients)
        return tuple(dxs)

    def _empty_weight(self) -> Tensor:
        return torch.empty_like(self._source, memory_format=torch.channels_last)

    def _copy_weight(self) -> None:
        self._weight.copy_(self._source)

    def _keep_gradient(self, gradients: list[Tensor]) -> None:
        for target, gradient in zip(self._gradient.chunk(self.groups), gradients, strict=True):
            target.copy_(gradient)


class BlockConvolution(Convolution):
    """The first convolution, with stride ``BLOCK``, on squares of pixels that became channels: its weights are dealt
    out likewise. The kernel's side is rounded up to whole squares; what that adds stays zero.
    """

    wants_dx = False

    def _empty_weight(self) -> Tensor:
        outputs, channels, side, _ = self._source.shape
        squares = -(-side // BLOCK)
        k, c, y, x = torch.meshgrid(*map(torch.arange, self._source.shape), indexing="ij")
        square = (k * squares + y // BLOCK) * squares + x // BLOCK
        place = (square * BLOCK**2 + y % BLOCK * BLOCK + x % BLOCK) * channels + c
        self._place = place.flatten().to(self._source.device)
        return _channels_second(self._source.new_zeros(outputs, squares, squares, BLOCK**2 * channels))

    def _copy_weight(self) -> None:
        self._weight.permute(0, 2, 3, 1).view(-1).index_copy_(0, self._place, self._source.view(-1))

    def _keep_gradient(self, gradients: list[Tensor]) -> None:
        rows = gradients[0].permute(0, 2, 3, 1).reshape(-1)
        torch.index_select(rows, 0, self._place, out=self._gradient.view(-1))


def _channels_second(x_BHWC: Tensor) -> Tensor:
    return x_BHWC.permute(0, 3, 1, 2)


def _channels_last(x_BCHW: Tensor) -> Tensor:
    """(B, H, W, C), contiguous: a copy only where a convolution chose another layout."""
    return x_BCHW.permute(0, 2, 3, 1).contiguous()
