"""A convolution and what follows it up to the next, by hand, forwards and backwards: see ``lib.models.fused_layers``.

Each reads its groups and writes those of the next layer, so that nothing is copied apart or together.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lib.kernels import pooling, rectifier
from lib.kernels import response_norm as norm_kernels
from lib.models.fused_layers import BLOCK, BlockConvolution, Convolution, Groups, Parameters
from lib.models.layers import ResponseNorm


class Rectified:
    """A convolution, its bias and ReLU."""

    def __init__(self, layers: Sequence[nn.Module], groups_after: int, parameters: Parameters) -> None:
        layer = layers[0]
        assert isinstance(layer, nn.Conv2d)
        self._convolution = (BlockConvolution if layer.stride[0] == BLOCK else Convolution)(layer, parameters)
        self._parameters, self._groups_after = parameters, groups_after

    def forward(self, groups: Groups) -> Groups:
        return self._after(self._convolution.forward(groups))

    def backward(self, groups: Groups) -> Groups:
        return self._convolution.backward(self._before(groups))

    def _after(self, groups: Groups) -> Groups:
        pieces = max(len(groups), self._groups_after)
        out = _empty(groups[0].shape[:3], _channels(groups), pieces, groups[0])
        sources, biases = _pieces(groups, pieces), self._parameters.bias.chunk(pieces)
        for source, bias, target in zip(sources, biases, out, strict=True):
            rectifier.bias_relu(source, bias, _rows(target))
        self._y = out
        return out

    def _before(self, groups: Groups) -> Groups:
        pieces = len(self._y)
        out = _empty(self._y[0].shape[:3], _channels(groups), self._convolution.groups, groups[0])
        targets, sinks = _pieces(out, pieces), self._parameters.bias_gradient.chunk(pieces)
        for g, y, target, sink in zip(groups, self._y, targets, sinks, strict=True):
            rectifier.relu_gradient(_rows(g), _rows(y), target, sink)
        return out


class Pooled(Rectified):
    """A convolution, its bias, ReLU and max-pool; flattened with channels first, as the classifier's weights expect."""

    def _after(self, groups: Groups) -> Groups:
        batch, height, width, channels = self._shape = groups[0].shape
        side = (height - 3) // 2 + 1, (width - 3) // 2 + 1
        pooled_BHWC = self._room(groups, side)
        self._places = tuple(g.new_empty(batch, *side, channels, dtype=torch.uint8) for g in groups)
        parts = pooled_BHWC.chunk(len(groups), dim=3), self._parameters.bias.chunk(len(groups))
        for x, out, bias, place in zip(groups, *parts, self._places, strict=True):
            pooling.pool(x, bias, out, place)
        return self._finished(pooled_BHWC)

    def _before(self, groups: Groups) -> Groups:
        g_BHWC = self._begun(groups)
        out = tuple(place.new_empty(self._shape, dtype=g_BHWC.dtype) for place in self._places)
        parts = g_BHWC.chunk(len(out), dim=3), self._parameters.bias_gradient.chunk(len(out))
        for g, sink, place, dx in zip(*parts, self._places, out, strict=True):
            pooling.pool_gradient(g, place, dx, sink)
        return out

    def _room(self, groups: Groups, side: tuple[int, int]) -> Tensor:
        """Where the pooled map goes, as (B, H, W, C)."""
        self._side = side
        return groups[0].new_empty(len(groups[0]), _channels(groups), *side).permute(0, 2, 3, 1)

    def _finished(self, pooled_BHWC: Tensor) -> Groups:
        """What the next layer eats."""
        return (pooled_BHWC.permute(0, 3, 1, 2).flatten(1),)

    def _begun(self, groups: Groups) -> Tensor:
        """The pooled map's gradient, (B, H, W, C), from that of ``_finished``."""
        g_BCHW: Tensor = groups[0].unflatten(1, (-1, *self._side))
        return g_BCHW.permute(0, 2, 3, 1)


class PooledNormed(Pooled):
    """A convolution, its bias, ReLU, max-pool and response norm."""

    def __init__(self, layers: Sequence[nn.Module], groups_after: int, parameters: Parameters) -> None:
        super().__init__(layers, groups_after, parameters)
        self._norm = next(layer for layer in layers if isinstance(layer, ResponseNorm))

    def _room(self, groups: Groups, side: tuple[int, int]) -> Tensor:
        self._pooled_BHWC = groups[0].new_empty(len(groups[0]), *side, _channels(groups))
        return self._pooled_BHWC

    def _finished(self, pooled_BHWC: Tensor) -> Groups:
        *shape, channels = pooled_BHWC.shape
        out = pooled_BHWC.new_empty(self._groups_after, *shape, channels // self._groups_after)
        norm_kernels.response_norm(_rows(pooled_BHWC), self._norm, out.flatten(1, 3))
        return out.unbind()

    def _begun(self, groups: Groups) -> Tensor:
        g_BHWC = torch.empty_like(self._pooled_BHWC)
        gs = tuple(map(_rows, groups))
        norm_kernels.response_norm_gradient(gs, _rows(self._pooled_BHWC), self._norm, _rows(g_BHWC))
        return g_BHWC


STAGES: dict[tuple[type[nn.Module], ...], type[Rectified]] = {
    (nn.Conv2d, nn.ReLU): Rectified,
    (nn.Conv2d, nn.ReLU, nn.MaxPool2d): Pooled,
    (nn.Conv2d, nn.ReLU, nn.MaxPool2d, ResponseNorm): PooledNormed,
}
"""by the plain layers that they stand for"""


def _rows(x_BHWC: Tensor) -> Tensor:
    return x_BHWC.view(-1, x_BHWC.shape[-1])


def _channels(groups: Groups) -> int:
    return sum(group.shape[-1] for group in groups)


def _pieces(groups: Groups, pieces: int) -> list[Tensor]:
    """The channels of ``groups`` in so many pieces, as rows (P, C / pieces)."""
    return [piece for group in groups for piece in _rows(group).chunk(pieces // len(groups), dim=1)]


def _empty(shape: Sequence[int], channels: int, pieces: int, like: Tensor) -> Groups:
    return tuple(like.new_empty(*shape, channels // pieces) for _ in range(pieces))
