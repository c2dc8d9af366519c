"""The layout in which a network takes images: blocks of pixels become channels where its first layer has a stride.

A convolution of k x k with stride s on 3 channels is the same function as one of K x K with stride 1 on 3 s^2 channels,
K = ceil(k / s), on images in the block layout of ``lib.kernels.crop``. Tensor cores need many channels, and multiples
of 8: zeros fill them up.
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

_MULTIPLE = 8


class InputLayout(NamedTuple):
    """A batch is (B, rows, rows, channels): blocks of ``side`` x ``side`` pixels; crops begin ``pad`` pixels inside."""

    side: int
    rows: int
    pad: int
    channels: int
    kernel: int = 1
    """side of the first convolution, in pixels"""

    def resized(self, crop: int) -> "InputLayout":
        """Return the layout of crops of another size."""
        if self.side == 1:
            return self._replace(rows=crop)
        outputs = (crop + 2 * self.pad - self.kernel) // self.side + 1
        return self._replace(rows=outputs + -(-self.kernel // self.side) - 1)


class BlockConv2d(nn.Module):
    """``conv``, the first convolution of a network, on images in its ``InputLayout``, (B, channels, rows, rows).

    Its parameters are those of ``conv``, under the same names.
    """

    def __init__(self, conv: nn.Conv2d, layout: InputLayout) -> None:
        super().__init__()
        self.weight, self.bias, self.layout = conv.weight, conv.bias, layout
        self.padding = 0 if layout.side > 1 else int(conv.padding[0])

    def forward(self, images_BCYX: Tensor) -> Tensor:
        return functional.conv2d(
            images_BCYX, weight_in_blocks(self.weight, self.layout), self.bias, padding=self.padding
        )


def weight_in_blocks(weight_OCkk: Tensor, layout: InputLayout) -> Tensor:
    """Return the weight (O, 3, k, k) of a convolution with stride ``side`` as (O, channels, K, K)."""
    outputs, colors, size, _ = weight_OCkk.shape
    side, blocks = layout.side, -(-size // layout.side)
    extra = blocks * side - size
    padded = functional.pad(weight_OCkk, (0, extra, 0, extra))
    in_blocks = padded.reshape(outputs, colors, blocks, side, blocks, side).permute(0, 2, 4, 3, 5, 1)
    filled = functional.pad(in_blocks.reshape(outputs, blocks, blocks, -1), (0, layout.channels - colors * side**2))
    return filled.permute(0, 3, 1, 2)  # channels last in memory


def use_blocks(model: nn.Module, crop: int) -> InputLayout:
    """Replace the first convolution of ``model`` by a ``BlockConv2d``, and return the layout to feed."""
    plain = InputLayout(1, crop, 0, 3)
    for parent in model.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d):
                if not _is_regular(child):
                    return plain
                size, side, pad = child.kernel_size[0], child.stride[0], int(child.padding[0])
                layout = InputLayout(1, crop, 0, _MULTIPLE)
                if side > 1:
                    channels = -(-3 * side**2 // _MULTIPLE) * _MULTIPLE
                    layout = InputLayout(side, 0, pad, channels, size).resized(crop)
                setattr(parent, name, BlockConv2d(child, layout))
                return layout
    return plain


def _is_regular(conv: nn.Conv2d) -> bool:
    square = len({*conv.kernel_size}) == len({*conv.stride}) == len({*conv.padding}) == 1
    return square and conv.in_channels == 3 and conv.groups == 1 and conv.dilation == (1, 1)
