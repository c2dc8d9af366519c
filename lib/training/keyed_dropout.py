"""Dropout whose mask does not depend on which worker computes an image: a function of (seed, layer, image, column).

Each mask bit is a number of the generator SplitMix64 (Steele, Lea and Flood, 2014), which can start anywhere: its n-th
number is a hash of seed + n * 0x9E3779B97F4A7C15.
"""

import torch
from torch import Tensor

# A layer has up to 2^24 columns, a network up to 2^8 layers.
_COLUMNS, _LAYERS = 1 << 24, 1 << 8
_GAMMA, _MIX_1, _MIX_2 = -7046029254386353131, -4658895280553007687, -7723592293110705685


def keyed_dropout(x_NC: Tensor, p: float, images_N: Tensor, seed: Tensor, layer: int, first_column: int) -> Tensor:
    """Return ``x_NC`` with a fraction ``p`` of its numbers replaced by 0, and the others divided by 1 - p.

    Row n is of image ``images_N[n]`` (int64) of the batch of all workers; column c is the ``first_column`` + c of
    layer ``layer``. ``seed`` is int64 ().
    """
    result: Tensor = _KeyedDropout.apply(x_NC, p, images_N, seed, layer, first_column)  # type: ignore[no-untyped-call]
    return result


def keep_mask(shape: torch.Size, p: float, images_N: Tensor, seed: Tensor, layer: int, first_column: int) -> Tensor:
    """Return which numbers of a tensor of this shape (N, C) stay, as bool."""
    columns_C = torch.arange(first_column, first_column + shape[1], device=images_N.device)
    z = (images_N[:, None] * _LAYERS + layer) * _COLUMNS + columns_C
    z.mul_(_GAMMA).add_(seed)
    z.bitwise_xor_(_shifted(z, 30)).mul_(_MIX_1)
    z.bitwise_xor_(_shifted(z, 27)).mul_(_MIX_2)
    return _shifted(z, 40) >= p * (1 << 24)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """Return ``z`` shifted to the right as an unsigned number."""
    return (z >> bits).bitwise_and_((1 << (64 - bits)) - 1)


class _KeyedDropout(torch.autograd.Function):
    """The gradient is the same function of the output's gradient, so nothing but the key is kept."""

    @staticmethod
    def forward(ctx, x_NC: Tensor, *key):  # type: ignore[no-untyped-def]
        ctx.key = key
        return _dropout(x_NC, *key)

    @staticmethod
    def backward(ctx, g_NC: Tensor):  # type: ignore[no-untyped-def]
        return _dropout(g_NC, *ctx.key), None, None, None, None, None


def _dropout(x_NC: Tensor, p: float, images_N: Tensor, seed: Tensor, layer: int, first_column: int) -> Tensor:
    if x_NC.is_cuda:
        from ..kernels import keyed_dropout as kernel  # noqa: PLC0415  needs Triton

        return kernel.keyed_dropout(x_NC.contiguous(), p, images_N, seed, layer, first_column)
    keep = keep_mask(x_NC.shape, p, images_N, seed, layer, first_column)
    return x_NC * keep.to(x_NC.dtype).div_(1 - p)
