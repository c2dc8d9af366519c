"""Evaluate whole images: each is shrunk to the network's input, where training and center crops cut off a border."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from ..data.upload import Batch


def shrink(images_BCHW: Tensor, side: int) -> Tensor:
    """Return float images (B, C, side, side), resampled bilinearly with antialiasing."""
    return interpolate(images_BCHW.float(), (side, side), mode="bilinear", antialias=True)


def shrink_mean(mean_CHW: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return a mean image (3, side, side)."""
    if side == mean_CHW.shape[1]:
        return mean_CHW
    shrunk: NDArray[np.float32] = shrink(torch.from_numpy(mean_CHW)[None], side)[0].numpy()
    return shrunk


def shrink_batches(batches: Iterable[Batch], side: int) -> Iterator[Batch]:
    """Yield each batch with uint8 images (B, side, side, 3)."""
    for batch in batches:
        images_BCHW = shrink(batch.images_BHWC.permute(0, 3, 1, 2), side) if len(batch.labels_B) else None
        if images_BCHW is not None:
            shrunk = images_BCHW.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
            batch = batch._replace(images_BHWC=shrunk)  # noqa: PLW2901
        yield batch
