"""The transformation of training images by the kernels of ``lib.kernels``, on a GPU."""

from torch import Tensor

from ...kernels.augment import Columns, augment_to_blocks
from ...kernels.crop import crop_to_blocks, to_blocks
from .auto import AUTO
from .base import Augmentation
from .color_jitter import COLOR_JITTER
from .erasing import ERASING
from .mixing import MIXING
from .padded_crop import PADDED_CROP
from .pca_lighting import PCA_LIGHTING
from .registry import columns_of
from .resized_crop import RESIZED_CROP
from .transform import Transform
from .warp import WARP

_KERNELS: dict[str, Augmentation] = {
    "auto": AUTO,
    "window": RESIZED_CROP,
    "padded": PADDED_CROP,
    "warp": WARP,
    "jitter": COLOR_JITTER,
    "lighting": PCA_LIGHTING,
    "erasing": ERASING,
    "mixing": MIXING,
}
"""the augmentations that the kernels know, by the names of ``Columns``"""


def transform_to_blocks(
    transform: Transform, images_BHWC: Tensor, params_BV: Tensor, out_BYXC: Tensor, *, side: int, pad: int
) -> None:
    """Write what ``transform`` makes of a batch to ``out_BYXC``, in the block layout of ``lib.kernels.crop``."""
    on = transform.augmentations
    if transform.is_plain(params_BV):
        crop_to_blocks(
            images_BHWC, transform.mean_HWC, transform.std_C, params_BV, transform.crop, out_BYXC, side=side, pad=pad
        )
    elif all(augmentation in _KERNELS.values() for augmentation in on):
        columns = {name: columns_of(kind).start for name, kind in _KERNELS.items() if kind in on}
        augment_to_blocks(
            images_BHWC,
            transform.mean_HWC,
            transform.std_C,
            params_BV,
            transform.crop,
            transform.size,
            out_BYXC,
            columns=Columns(**columns),
            cubic=transform.interpolation == "bicubic",
            mean_varies=transform.mean_varies,
            side=side,
            pad=pad,
        )
    else:
        blocks = to_blocks(transform(images_BHWC, params_BV), side, out_BYXC.shape[1], pad)
        out_BYXC[: len(blocks), ..., : blocks.shape[-1]].copy_(blocks)
