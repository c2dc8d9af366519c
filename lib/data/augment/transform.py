"""From the loader's images to the network's input, on the device: params applied, mean and deviation taken out."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib.config.schema import AugmentConfig, NormalizeConfig
from lib.data.augment.colors import jitter, light
from lib.data.augment.params import JITTER, LIGHTING, PLAIN, WINDOW, crop_and_normalize, cut, positions
from lib.data.augment.windows import stretched

Cut = Callable[[Tensor, Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""(images_BHWC, mean_HWC, params_BV, crop) -> what the views show of the images and of the mean, (B, 3, crop, crop)"""


class Transform:
    """What ``views`` asks for. Plain rows of params, as in validation, are cut and mirrored and no more."""

    def __init__(
        self,
        augment: AugmentConfig,
        normalize: NormalizeConfig,
        mean_CHW: NDArray[np.float32],
        crop: int,
        device: torch.device,
    ) -> None:
        self.crop = crop
        self.mean_HWC = MEANS[normalize.mean](torch.from_numpy(mean_CHW)).permute(1, 2, 0).contiguous().to(device)
        self._cut: Cut = _stretched if augment.crop == "resized" else _cut
        self._steps: list[Callable[[Tensor, Tensor], Tensor]] = []
        if augment.color_jitter:
            self._steps.append(lambda images, params_BV: jitter(images, params_BV[:, JITTER]))
        if augment.pca_lighting:
            self._steps.append(lambda images, params_BV: light(images, params_BV[:, LIGHTING]))
        self._std_C11 = None if normalize.std is None else torch.tensor(normalize.std, device=device)[:, None, None]

    def is_plain(self, params_BV: Tensor) -> bool:
        """Whether cutting, mirroring and subtracting ``mean_HWC`` is all there is to do."""
        return params_BV.shape[1] == PLAIN and self._std_C11 is None

    def __call__(self, images_BHWC: Tensor, params_BV: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> float32 (B, 3, crop, crop)."""
        if params_BV.shape[1] == PLAIN:
            seen_BCHW = crop_and_normalize(images_BHWC, self.mean_HWC, params_BV, self.crop)
        else:
            seen_BCHW = self._seen(images_BHWC, params_BV)
        return seen_BCHW if self._std_C11 is None else seen_BCHW / self._std_C11

    def _seen(self, images_BHWC: Tensor, params_BV: Tensor) -> Tensor:
        seen_BCHW, mean_BCHW = self._cut(images_BHWC, self.mean_HWC, params_BV, self.crop)
        for step in self._steps:
            seen_BCHW = step(seen_BCHW, params_BV)
        return (seen_BCHW - mean_BCHW).contiguous()


def _cut(images_BHWC: Tensor, mean_HWC: Tensor, params_BV: Tensor, crop: int) -> tuple[Tensor, Tensor]:
    rows, columns = positions(params_BV, crop)
    return cut(images_BHWC, rows, columns).permute(0, 3, 1, 2), mean_HWC[rows, columns].permute(0, 3, 1, 2)


def _stretched(images_BHWC: Tensor, mean_HWC: Tensor, params_BV: Tensor, crop: int) -> tuple[Tensor, Tensor]:
    windows, mirror = params_BV[:, WINDOW], params_BV[:, PLAIN - 1]
    images_BCHW = images_BHWC.permute(0, 3, 1, 2).float()
    mean_BCHW = mean_HWC.permute(2, 0, 1).expand_as(images_BCHW)
    return stretched(images_BCHW, windows, mirror, crop), stretched(mean_BCHW, windows, mirror, crop)


MEANS: dict[str, Callable[[Tensor], Tensor]] = {
    "image": lambda mean_CHW: mean_CHW,
    "channel": lambda mean_CHW: mean_CHW.mean((1, 2), keepdim=True).expand_as(mean_CHW),
    "none": torch.zeros_like,
}
