"""From the loader's images to the network's input, on the device: views applied, mean and deviation taken out."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib.config import ViewsConfig
from lib.data.colors import jitter, light
from lib.data.views import JITTER, LIGHTING, PLAIN, WINDOW, apply_views, cut, positions
from lib.data.windows import stretched

Cut = Callable[[Tensor, Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""(images_BHWC, mean_HWC, views_BV, crop) -> what the views show of the images and of the mean, (B, 3, crop, crop)"""


class Transform:
    """What ``views`` asks for. Plain rows of views, as in validation, are cut and mirrored and no more."""

    def __init__(self, views: ViewsConfig, mean_CHW: NDArray[np.float32], crop: int, device: torch.device) -> None:
        self.crop = crop
        self.mean_HWC = MEANS[views.mean](torch.from_numpy(mean_CHW)).permute(1, 2, 0).contiguous().to(device)
        self._cut: Cut = _stretched if views.crop == "resized" else _cut
        self._steps: list[Callable[[Tensor, Tensor], Tensor]] = []
        if views.color_jitter:
            self._steps.append(lambda images, views_BV: jitter(images, views_BV[:, JITTER]))
        if views.pca_lighting:
            self._steps.append(lambda images, views_BV: light(images, views_BV[:, LIGHTING]))
        self._std_C11 = None if views.std is None else torch.tensor(views.std, device=device)[:, None, None]

    def is_plain(self, views_BV: Tensor) -> bool:
        """Whether cutting, mirroring and subtracting ``mean_HWC`` is all there is to do."""
        return views_BV.shape[1] == PLAIN and self._std_C11 is None

    def __call__(self, images_BHWC: Tensor, views_BV: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> float32 (B, 3, crop, crop)."""
        if views_BV.shape[1] == PLAIN:
            seen_BCHW = apply_views(images_BHWC, self.mean_HWC, views_BV, self.crop)
        else:
            seen_BCHW = self._seen(images_BHWC, views_BV)
        return seen_BCHW if self._std_C11 is None else seen_BCHW / self._std_C11

    def _seen(self, images_BHWC: Tensor, views_BV: Tensor) -> Tensor:
        seen_BCHW, mean_BCHW = self._cut(images_BHWC, self.mean_HWC, views_BV, self.crop)
        for step in self._steps:
            seen_BCHW = step(seen_BCHW, views_BV)
        return (seen_BCHW - mean_BCHW).contiguous()


def _cut(images_BHWC: Tensor, mean_HWC: Tensor, views_BV: Tensor, crop: int) -> tuple[Tensor, Tensor]:
    rows, columns = positions(views_BV, crop)
    return cut(images_BHWC, rows, columns).permute(0, 3, 1, 2), mean_HWC[rows, columns].permute(0, 3, 1, 2)


def _stretched(images_BHWC: Tensor, mean_HWC: Tensor, views_BV: Tensor, crop: int) -> tuple[Tensor, Tensor]:
    windows, mirror = views_BV[:, WINDOW], views_BV[:, PLAIN - 1]
    images_BCHW = images_BHWC.permute(0, 3, 1, 2).float()
    mean_BCHW = mean_HWC.permute(2, 0, 1).expand_as(images_BCHW)
    return stretched(images_BCHW, windows, mirror, crop), stretched(mean_BCHW, windows, mirror, crop)


MEANS: dict[str, Callable[[Tensor], Tensor]] = {
    "image": lambda mean_CHW: mean_CHW,
    "channel": lambda mean_CHW: mean_CHW.mean((1, 2), keepdim=True).expand_as(mean_CHW),
    "none": torch.zeros_like,
}
