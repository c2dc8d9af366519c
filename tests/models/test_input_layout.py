"""A network whose first convolution takes blocks of pixels is the same function, with the same gradients."""

import copy

import pytest
import torch
from torch import nn

from lib.kernels.crop import to_blocks
from lib.models.input_layout import InputLayout, use_blocks


@pytest.mark.parametrize(
    ("conv", "crop", "layout"),
    [
        (nn.Conv2d(3, 6, 11, 4, 2), 35, InputLayout(4, 10, 2, 48, 11)),
        (nn.Conv2d(3, 6, 7, 2, 3, bias=False), 33, InputLayout(2, 20, 3, 16, 7)),
        (nn.Conv2d(3, 6, 3, 2), 20, InputLayout(2, 10, 0, 16, 3)),
        (nn.Conv2d(3, 6, 11, 4), 29, InputLayout(4, 7, 0, 48, 11)),
        (nn.Conv2d(3, 6, 3, 1, 1), 9, InputLayout(1, 9, 0, 8)),
    ],
)
def test_blocks_are_the_same_function(conv: nn.Conv2d, crop: int, layout: InputLayout) -> None:
    plain = nn.Sequential(nn.Sequential(conv), nn.ReLU())
    blocks = copy.deepcopy(plain)
    assert use_blocks(blocks, crop) == layout
    assert [name for name, _ in blocks.named_parameters()] == [name for name, _ in plain.named_parameters()]
    x_BCHW = torch.randn(2, 3, crop, crop)
    x_BYXC = torch.zeros(2, layout.rows, layout.rows, layout.channels)
    images = to_blocks(x_BCHW, layout.side, layout.rows, layout.pad)
    x_BYXC[..., : images.shape[-1]] = images
    expected, found = plain(x_BCHW), blocks(x_BYXC.permute(0, 3, 1, 2))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    weights = torch.randn(expected.shape)
    (expected * weights).sum().backward()
    (found * weights).sum().backward()
    for ours, theirs in zip(blocks.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)


def test_a_first_layer_of_another_kind_is_left_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 3, dilation=2))
    assert use_blocks(model, 20) == InputLayout(1, 20, 0, 3)
    assert isinstance(model[0], nn.Conv2d)
