"""Stages of a fused network: a convolution and all layers up to the next one, with hand-written backward passes.

Each stage reads one tensor per group of its own convolution and writes one per group of the next, so tensors are
never split or concatenated. See ``lib.models.fused_layers``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..kernels import pooling, rectifier
from ..kernels.response_norm import NormConstants, response_norm, response_norm_gradient
from .fused_layers import BLOCK, BlockConvolution, Convolution, Groups, Parameters
from .layers import ResponseNorm


class ConvReLU:
    """Convolution, bias and ReLU."""

    def __init__(self, layers: Sequence[nn.Module], next_groups: int, parameters: Parameters) -> None:
        layer = layers[0]
        assert isinstance(layer, nn.Conv2d)
        self._convolution = (BlockConvolution if layer.stride[0] == BLOCK else Convolution)(layer, parameters)
        self._parameters, self._next_groups = parameters, next_groups

    def forward(self, groups: Groups) -> Groups:
        return self._epilogue(self._convolution.forward(groups))

    def backward(self, groups: Groups) -> Groups:
        return self._convolution.backward(self._epilogue_backward(groups))

    def _epilogue(self, groups: Groups) -> Groups:
        """Return what the next stage reads, from the output of the convolution."""
        count = max(len(groups), self._next_groups)
        out = _empty(groups[0].shape[:3], _channels(groups), count, groups[0])
        sources, biases = _slices(groups, count), self._parameters.bias.chunk(count)
        for source, bias, target in zip(sources, biases, out, strict=True):
            rectifier.bias_relu(source, bias, _rows(target))
        self._y = out
        return out

    def _epilogue_backward(self, groups: Groups) -> Groups:
        count = len(self._y)
        out = _empty(self._y[0].shape[:3], _channels(groups), self._convolution.groups, groups[0])
        targets, bias_gradients = _slices(out, count), self._parameters.bias_gradient.chunk(count)
        for g, y, target, bias_gradient in zip(groups, self._y, targets, bias_gradients, strict=True):
            rectifier.relu_gradient(_rows(g), _rows(y), target, bias_gradient)
        return out


class ConvReLUPool(ConvReLU):
    """Convolution, bias, ReLU, max-pool and, if ``layers`` have one, response norm.

    Without a norm, the output is flattened from (B, C, H, W), as the classifier expects.
    """

    def __init__(self, layers: Sequence[nn.Module], next_groups: int, parameters: Parameters) -> None:
        super().__init__(layers, next_groups, parameters)
        norm = next((layer for layer in layers if isinstance(layer, ResponseNorm)), None)
        self._norm = norm and NormConstants(norm.n, norm.alpha, norm.beta, norm.k)

    def _epilogue(self, groups: Groups) -> Groups:
        batch, height, width, group_channels = self._shape = groups[0].shape
        size, channels = ((height - 3) // 2 + 1, (width - 3) // 2 + 1), _channels(groups)
        if self._norm:
            pooled_BHWC = groups[0].new_empty(batch, *size, channels)
        else:
            pooled_BHWC = groups[0].new_empty(batch, channels, *size).permute(0, 2, 3, 1)
        self._pooled_BHWC = pooled_BHWC
        self._argmax = tuple(g.new_empty(batch, *size, group_channels, dtype=torch.uint8) for g in groups)
        chunks = pooled_BHWC.chunk(len(groups), dim=3), self._parameters.bias.chunk(len(groups))
        for x, out, bias, argmax in zip(groups, *chunks, self._argmax, strict=True):
            pooling.pool(x, bias, out, argmax)
        if not self._norm:
            return (pooled_BHWC.permute(0, 3, 1, 2).flatten(1),)
        normed = pooled_BHWC.new_empty(self._next_groups, batch, *size, channels // self._next_groups)
        response_norm(_rows(pooled_BHWC), self._norm, normed.flatten(1, 3))
        return normed.unbind()

    def _epilogue_backward(self, groups: Groups) -> Groups:
        if self._norm:
            g_BHWC = torch.empty_like(self._pooled_BHWC)
            response_norm_gradient(tuple(map(_rows, groups)), _rows(self._pooled_BHWC), self._norm, _rows(g_BHWC))
        else:
            g_BHWC = groups[0].unflatten(1, (-1, *self._pooled_BHWC.shape[1:3])).permute(0, 2, 3, 1)
        out = tuple(argmax.new_empty(self._shape, dtype=g_BHWC.dtype) for argmax in self._argmax)
        chunks = g_BHWC.chunk(len(out), dim=3), self._parameters.bias_gradient.chunk(len(out))
        for g, bias_gradient, argmax, dx in zip(*chunks, self._argmax, out, strict=True):
            pooling.pool_gradient(g, argmax, dx, bias_gradient)
        return out


STAGES: dict[tuple[type[nn.Module], ...], type[ConvReLU]] = {
    (nn.Conv2d, nn.ReLU): ConvReLU,
    (nn.Conv2d, nn.ReLU, nn.MaxPool2d): ConvReLUPool,
    (nn.Conv2d, nn.ReLU, nn.MaxPool2d, ResponseNorm): ConvReLUPool,
}
"""the stage for each sequence of plain layers"""


def _rows(x_BHWC: Tensor) -> Tensor:
    return x_BHWC.view(-1, x_BHWC.shape[-1])


def _channels(groups: Groups) -> int:
    return sum(group.shape[-1] for group in groups)


def _slices(groups: Groups, count: int) -> list[Tensor]:
    """Split the channels of ``groups`` into ``count`` slices, each a view (P, C / count)."""
    return [piece for group in groups for piece in _rows(group).chunk(count // len(groups), dim=1)]


def _empty(shape: Sequence[int], channels: int, count: int, like: Tensor) -> Groups:
    return tuple(like.new_empty(*shape, channels // count) for _ in range(count))
