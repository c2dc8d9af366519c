"""Windows of images, sampled between their pixels."""

import torch
from torch import Tensor
from torch.nn import functional

from ...types import Interpolation


def sample(
    images_BCHW: Tensor,
    windows_B4: Tensor,
    mirror_B: Tensor,
    size: int,
    *,
    warp_B22: Tensor | None = None,
    zeros: bool = False,
    mode: Interpolation = "bilinear",
) -> Tensor:
    """Resize the windows to (B, C, size, size), and mirror where ``mirror_B`` is 1. float32 in and out.

    A window is (top, left, height, width) in pixels. With ``warp_B22`` the place of each pixel relative to the middle
    of the window, (across, down), is multiplied by this matrix, and beyond its edges the image is reflected. Without,
    its outermost pixels extend to its edge: only ``bicubic`` mixes in pixels outside of it. With ``zeros`` there are
    zeros beyond the edges of the image.
    """
    top_B1, left_B1, height_B1, width_B1 = windows_B4.T[:, :, None]
    centers = (torch.arange(size, device=images_BCHW.device) + 0.5) / size - 0.5
    down_BH = centers * height_B1
    across_BW = torch.where(mirror_B[:, None] == 1, -centers, centers) * width_B1
    if warp_B22 is None and not zeros:
        down_BH = down_BH.minimum(height_B1 / 2 - 0.5).maximum(0.5 - height_B1 / 2)
        across_BW = across_BW.minimum(width_B1 / 2 - 0.5).maximum(0.5 - width_B1 / 2)
    place_BHW2 = torch.stack(torch.broadcast_tensors(across_BW[:, None, :], down_BH[:, :, None]), dim=-1)
    if warp_B22 is not None:
        place_BHW2 = place_BHW2 @ warp_B22[:, None].mT
    middle_B2 = torch.cat([left_B1 + width_B1 / 2, top_B1 + height_B1 / 2], dim=1)
    grid_BHW2 = (place_BHW2 + middle_B2[:, None, None]) * (2 / images_BCHW.shape[-1]) - 1
    outside = "zeros" if zeros else "reflection"
    sampled = functional.grid_sample(images_BCHW, grid_BHW2, mode, padding_mode=outside, align_corners=False)
    return sampled.clamp(0, 255) if mode == "bicubic" else sampled  # which exceeds its pixels beside edges
