"""Convolution and linear layers with hand-written backward passes, for fused networks.

Gradients of weights are written, not added, to given tensors. Feature maps are passed between layers as tuples: one
channels-last tensor (B, H, W, C / groups) for each group of the layer that reads them.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Groups = tuple[Tensor, ...]

BLOCK = 4
"""side of the blocks of pixels that become channels: the stride of the first convolution"""


class Parameters(NamedTuple):
    """A layer's weight and bias in the dtype of the computation, and the tensors that receive their gradients."""

    weight: Tensor
    bias: Tensor
    weight_gradient: Tensor
    bias_gradient: Tensor

    @classmethod
    def of(cls, name: str, weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> "Parameters":
        """Return those of the layer ``name``."""
        keys = f"{name}.weight", f"{name}.bias"
        return cls(*(weights[key] for key in keys), *(gradients[key] for key in keys))


class Linear:
    """y = x W^T + b. The caller computes the gradient of the bias."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.x_BC = parameters.weight.new_empty(0)
        """the last input, for the backward pass"""

    def forward(self, x_BC: Tensor) -> Tensor:
        self.x_BC = x_BC
        return torch.addmm(self.parameters.bias, x_BC, self.parameters.weight.t())

    def backward(self, g_BC: Tensor) -> Tensor:
        torch.mm(g_BC.t(), self.x_BC, out=self.parameters.weight_gradient)
        return g_BC @ self.parameters.weight


class Convolution:
    """A convolution with stride 1 and no bias, computed as one ungrouped convolution per group.

    The weight is copied to channels-last memory once per step.
    """

    needs_input_gradient = True

    def __init__(self, layer: nn.Conv2d, parameters: Parameters) -> None:
        self.groups = layer.groups
        self._padding = [int(padding) for padding in layer.padding]
        self._source, self._gradient = parameters.weight, parameters.weight_gradient
        self._weight = self._empty_weight()
        self._xs: Groups = ()

    def forward(self, xs: Groups) -> Groups:
        self._xs = xs
        self._load_weight()
        return tuple(
            _to_bhwc(functional.conv2d(_to_bchw(x), weight, padding=self._padding))
            for x, weight in zip(xs, self._weight.chunk(self.groups), strict=True)
        )

    def backward(self, gs: Groups) -> Groups:
        dxs, weight_gradients = [], []
        for g, x, weight in zip(gs, self._xs, self._weight.chunk(self.groups), strict=True):
            dx, dw, _ = torch.ops.aten.convolution_backward(
                _to_bchw(g), _to_bchw(x), weight, None, [1, 1], self._padding, [1, 1], False, [0, 0],
                1, [self.needs_input_gradient, True, False],
            )  # fmt: skip
            dxs += [_to_bhwc(dx)] if self.needs_input_gradient else []
            weight_gradients.append(dw)
        self._store_gradient(weight_gradients)
        return tuple(dxs)

    def _empty_weight(self) -> Tensor:
        return torch.empty_like(self._source, memory_format=torch.channels_last)

    def _load_weight(self) -> None:
        self._weight.copy_(self._source)

    def _store_gradient(self, gradients: list[Tensor]) -> None:
        for target, gradient in zip(self._gradient.chunk(self.groups), gradients, strict=True):
            target.copy_(gradient)


class BlockConvolution(Convolution):
    """The first convolution, with stride ``BLOCK``, on images in the block layout of ``lib.kernels.crop``.

    Its weight is rearranged into the same layout. The kernel's side is rounded up to whole blocks; the added weights
    stay zero.
    """

    needs_input_gradient = False

    def _empty_weight(self) -> Tensor:
        outputs, channels, side, _ = self._source.shape
        blocks = -(-side // BLOCK)
        k, c, y, x = torch.meshgrid(*map(torch.arange, self._source.shape), indexing="ij")
        block = (k * blocks + y // BLOCK) * blocks + x // BLOCK
        index = (block * BLOCK**2 + y % BLOCK * BLOCK + x % BLOCK) * channels + c
        self._index = index.flatten().to(self._source.device)
        return _to_bchw(self._source.new_zeros(outputs, blocks, blocks, BLOCK**2 * channels))

    def _load_weight(self) -> None:
        self._weight.permute(0, 2, 3, 1).view(-1).index_copy_(0, self._index, self._source.view(-1))

    def _store_gradient(self, gradients: list[Tensor]) -> None:
        in_blocks = gradients[0].permute(0, 2, 3, 1).reshape(-1)
        torch.index_select(in_blocks, 0, self._index, out=self._gradient.view(-1))


def _to_bchw(x_BHWC: Tensor) -> Tensor:
    return x_BHWC.permute(0, 3, 1, 2)


def _to_bhwc(x_BCHW: Tensor) -> Tensor:
    """Return a contiguous (B, H, W, C) tensor; this copies only if the convolution chose another memory format."""
    return x_BCHW.permute(0, 2, 3, 1).contiguous()
