"""Rectangles of images, as shares of their side."""

import torch
from torch import Tensor


def inside(rectangles_B4: Tensor, side: int) -> Tensor:
    """Return which pixels have their center in the rectangle (top, left, height, width): bool (B, 1, side, side)."""
    centers = (torch.arange(side, device=rectangles_B4.device) + 0.5) / side
    top_B1, left_B1, height_B1, width_B1 = rectangles_B4.T[:, :, None]
    rows_BH = (centers >= top_B1) & (centers < top_B1 + height_B1)
    columns_BW = (centers >= left_B1) & (centers < left_B1 + width_B1)
    inside_BHW: Tensor = rows_BH[:, :, None] & columns_BW[:, None]
    return inside_BHW[:, None]
