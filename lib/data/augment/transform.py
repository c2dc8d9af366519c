"""Turn the loader's images into the network's input, on the device: apply augmentation parameters, and normalize."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...config.schema import AugmentConfig, NormalizeConfig
from ...models.losses import Labels
from .cutting import cutter
from .mixing import MIXING, OWN_WEIGHT, mixed_labels
from .registry import PLAIN_COLUMNS, columns_of, enabled


class Transform:
    """Crops, augments and normalizes a batch. Plain rows of parameters, as in validation, are cropped and mirrored."""

    def __init__(
        self,
        augment: AugmentConfig,
        normalize: NormalizeConfig,
        mean_CHW: NDArray[np.float32],
        crop: int,
        device: torch.device,
    ) -> None:
        self.crop = crop
        self.size = crop
        """side of augmented images, to which windows of ``crop`` are resized: the training changes it between epochs"""
        self.mean_HWC = MEANS[normalize.mean](torch.from_numpy(mean_CHW)).permute(1, 2, 0).contiguous().to(device)
        self.mean_varies = normalize.mean == "image"
        """whether ``mean_HWC`` is not the same everywhere"""
        self.augmentations, self.interpolation = enabled(augment), augment.interpolation
        self.std_C = torch.tensor(normalize.std or (1.0, 1.0, 1.0), device=device)
        self._divides = normalize.std is not None
        self.mixes = augment.mixes

    def is_plain(self, params_BV: Tensor) -> bool:
        """Return whether there is nothing to do but crop, mirror, subtract ``mean_HWC`` and divide by ``std_C``."""
        return params_BV.shape[1] == PLAIN_COLUMNS

    def __call__(self, images_BHWC: Tensor, params_BV: Tensor) -> Tensor:
        """Transform uint8 (B, H, W, 3) to float32 (B, 3, crop, crop), with wide rows to (B, 3, size, size).

        Images with H equal to ``crop`` begin at the top of their crop; others are whole.
        """
        if self.is_plain(params_BV):
            out_BCHW = crop_and_normalize(images_BHWC, self.mean_HWC, params_BV, self.crop)
        else:
            out_BCHW = self._augmented(images_BHWC, params_BV)
        return out_BCHW / self.std_C[:, None, None] if self._divides else out_BCHW

    def labels(self, labels_B: Tensor, params_BV: Tensor) -> Labels:
        """Return the labels of a transformed batch: with mixup or cutmix two of each image."""
        if not self.mixes or self.is_plain(params_BV):
            return labels_B
        return mixed_labels(labels_B, params_BV[:, columns_of(MIXING)])

    def own_weights(self, params_BV: Tensor) -> Tensor:
        """Return the weight of each image's own label (B,), with mixup or cutmix."""
        return params_BV[:, columns_of(MIXING)][:, OWN_WEIGHT]

    def _augmented(self, images_BHWC: Tensor, params_BV: Tensor) -> Tensor:
        out_BCHW, mean_BCHW = self._cropped(images_BHWC, params_BV)
        for augmentation in self.augmentations:
            if augmentation.apply:
                out_BCHW = augmentation.apply(out_BCHW, params_BV[:, columns_of(augmentation)])
        out_BCHW = out_BCHW - mean_BCHW
        for augmentation in self.augmentations:
            if augmentation.mix:
                out_BCHW = augmentation.mix(out_BCHW, params_BV[:, columns_of(augmentation)])
        return out_BCHW.contiguous()

    def _cropped(self, images_BHWC: Tensor, params_BV: Tensor) -> tuple[Tensor, Tensor]:
        """Return the crops of the images and of the mean image, (B, 3, size, size) each."""
        if cut := cutter(self.augmentations, params_BV, images_BHWC.shape[2], self.crop, self.size, self.interpolation):
            images_BCHW = images_BHWC.permute(0, 3, 1, 2).float()
            return cut(images_BCHW), cut(self.mean_HWC.permute(2, 0, 1).expand_as(images_BCHW))
        rows, columns = _positions(params_BV, self.crop)
        mean_BHWC = self.mean_HWC[rows, columns]
        return _gather(images_BHWC, rows, columns, self.crop).permute(0, 3, 1, 2), mean_BHWC.permute(0, 3, 1, 2)


def crop_and_normalize(images_BHWC: Tensor, mean_HWC: Tensor, params_BV: Tensor, crop: int) -> Tensor:
    """Crop, mirror and subtract the mean image: uint8 (B, H, W, 3) to float32 (B, 3, crop, crop).

    Each pixel loses the mean of its place in the whole image.
    """
    rows_BH1, columns_B1W = _positions(params_BV, crop)
    out_BHWC = _gather(images_BHWC, rows_BH1, columns_B1W, crop)
    out_BHWC -= mean_HWC[rows_BH1, columns_B1W]
    return out_BHWC.permute(0, 3, 1, 2).contiguous()


def _positions(params_BV: Tensor, crop: int) -> tuple[Tensor, Tensor]:
    """Return the rows (B, crop, 1) and columns (B, 1, crop) of the pixels of each crop."""
    steps = torch.arange(crop, device=params_BV.device)
    top_B1, left_B1, mirror_B1 = params_BV[:, :PLAIN_COLUMNS].long().T[:, :, None]
    rows_BH1 = (top_B1 + steps)[:, :, None]
    columns_B1W = (left_B1 + torch.where(mirror_B1 == 1, crop - 1 - steps, steps))[:, None, :]
    return rows_BH1, columns_B1W


def _gather(images_BHWC: Tensor, rows_BH1: Tensor, columns_B1W: Tensor, crop: int) -> Tensor:
    """Return the pixels at these positions of whole images, float32 (B, crop, crop, 3)."""
    if images_BHWC.shape[1] == crop:  # only these rows were read
        rows_BH1 = torch.arange(crop, device=rows_BH1.device)[:, None].expand_as(rows_BH1)
    image_B11 = torch.arange(len(images_BHWC), device=images_BHWC.device)[:, None, None]
    return images_BHWC[image_B11, rows_BH1, columns_B1W].float()


MEANS: dict[str, Callable[[Tensor], Tensor]] = {
    "image": lambda mean_CHW: mean_CHW,
    "channel": lambda mean_CHW: mean_CHW.mean((1, 2), keepdim=True).expand_as(mean_CHW),
    "none": torch.zeros_like,
}
"""what ``normalize.mean`` subtracts, made of the mean image"""
