"""``augment.auto``: TrivialAugment (arXiv:2103.10158) and RandAugment (arXiv:1909.13719).

Operations and magnitudes are those of torchvision's TrivialAugmentWide and RandAugment, pixel for pixel those of its
backend Pillow: images are whole numbers before and after each operation, and moved ones take the nearest pixel, with
black beyond the edges.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...config.schema import AugmentConfig
from .base import Augmentation

_NAMES = (
    *("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate"),
    *("brightness", "contrast", "posterize", "solarize", "autocontrast", "equalize", "color", "sharpness"),
)
OPERATIONS = {name: number for number, name in enumerate(_NAMES)}
ROUNDS = 2
_BINS = 31
_RAND_BIN = 9


def draw(count: int, img_size: int, augment: AugmentConfig, rng: np.random.Generator) -> NDArray[np.number]:
    """Draw for each of two rounds the number of an operation and its magnitude: (N, 4). ``trivial`` has one round.

    Magnitudes are slopes, pixels, degrees, factors of what is enhanced, bits, and a threshold.
    """
    operations = rng.integers(0, len(OPERATIONS), (count, ROUNDS))
    bins, signs = rng.integers(0, _BINS, (count, ROUNDS)), rng.choice([-1.0, 1.0], (count, ROUNDS))
    if augment.auto == "trivial":
        operations[:, 1] = OPERATIONS["identity"]
    table = _magnitudes(augment.auto, img_size)
    magnitudes = table[operations, bins if augment.auto == "trivial" else _RAND_BIN]
    signed = (operations >= OPERATIONS["shear_x"]) & (operations <= OPERATIONS["contrast"])
    signed |= operations >= OPERATIONS["color"]
    magnitudes = np.where(signed, signs * magnitudes, magnitudes)
    enhanced = np.isin(operations, [OPERATIONS[name] for name in ("brightness", "contrast", "color", "sharpness")])
    magnitudes += enhanced
    return np.stack([operations, magnitudes], axis=2).reshape(count, -1)


def _magnitudes(auto: str, img_size: int) -> NDArray[np.float64]:
    """Return the magnitude of each operation in each of 31 steps, (operations, 31)."""
    steps = np.linspace(0, 1, _BINS)
    wide = auto == "trivial"
    enhanced = (0.99 if wide else 0.9) * steps
    moved = np.trunc((32 if wide else 150 / 331 * img_size) * steps)  # whole pixels
    values = {
        **dict.fromkeys(("shear_x", "shear_y"), (0.99 if wide else 0.3) * steps),
        **dict.fromkeys(("translate_x", "translate_y"), moved),
        "rotate": (135 if wide else 30) * steps,
        **dict.fromkeys(("brightness", "contrast", "color", "sharpness"), enhanced),
        "posterize": 8 - np.round((6 if wide else 4) * steps),
        "solarize": 255 * (1 - steps),
    }
    return np.stack([values.get(name, np.zeros(_BINS)) for name in OPERATIONS])


def apply(images_BCHW: Tensor, params_B4: Tensor) -> Tensor:
    """Apply the operations of each image. Images that have none are not touched, beyond rounding."""
    images_BCHW = (images_BCHW.clamp(0, 255) + 0.5).to(torch.uint8)
    for operations_B, magnitudes_B in params_B4.unflatten(1, (ROUNDS, 2)).permute(1, 2, 0):
        for numbers, function in _FUNCTIONS:
            chosen = torch.isin(operations_B, torch.tensor(numbers, device=operations_B.device)).nonzero().squeeze(1)
            if len(chosen):
                some = images_BCHW[chosen], operations_B[chosen].long(), magnitudes_B[chosen]
                images_BCHW[chosen] = function(*some)
    return images_BCHW.float()


def matrices(operations_B: Tensor, magnitudes_B: Tensor, side: int) -> Tensor:
    """Return the matrices (B, 2, 3) that take a place in the result, (x, y, 1) in pixels, to one in the image."""
    angles_B = torch.where(operations_B == OPERATIONS["rotate"], magnitudes_B, 0).deg2rad()
    sin_B, cos_B, middle = angles_B.sin(), angles_B.cos(), side / 2
    zero = torch.zeros_like(magnitudes_B)
    across_B, down_B, right_B, below_B = (
        torch.where(operations_B == OPERATIONS[name], magnitudes_B, zero)
        for name in ("shear_x", "shear_y", "translate_x", "translate_y")
    )
    x_B3 = torch.stack([cos_B, across_B - sin_B, middle * (1 - cos_B + sin_B) - right_B], 1)
    y_B3 = torch.stack([down_B + sin_B, cos_B, middle * (1 - cos_B - sin_B) - below_B], 1)
    return torch.stack([x_B3, y_B3], 1)


def _move(images_BCHW: Tensor, operations_B: Tensor, magnitudes_B: Tensor) -> Tensor:
    side = images_BCHW.shape[-1]
    centers = torch.arange(side, device=images_BCHW.device) + 0.5
    y_HW, x_HW = torch.meshgrid(centers, centers, indexing="ij")
    matrices_B23 = matrices(operations_B, magnitudes_B, side)[..., None, None]
    x_BHW, y_BHW = ((row[:, 0] * x_HW + row[:, 1] * y_HW + row[:, 2]).floor().long() for row in matrices_B23.unbind(1))
    inside_BHW = (x_BHW >= 0) & (x_BHW < side) & (y_BHW >= 0) & (y_BHW < side)
    image_B11 = torch.arange(len(images_BCHW), device=images_BCHW.device)[:, None, None]
    moved = images_BCHW.permute(0, 2, 3, 1)[image_B11, y_BHW.clamp(0, side - 1), x_BHW.clamp(0, side - 1)]
    return moved.permute(0, 3, 1, 2) * inside_BHW[:, None]


def _look_up(images_BCHW: Tensor, operations_B: Tensor, magnitudes_B: Tensor) -> Tensor:
    places = images_BCHW.flatten(2).long()
    counts_BCV = torch.zeros(*images_BCHW.shape[:2], 256, dtype=torch.int64, device=images_BCHW.device)
    counts_BCV.scatter_add_(2, places, torch.ones_like(places))
    tables_BCV = tables(counts_BCV, _gray(images_BCHW).double().mean((1, 2, 3)), operations_B, magnitudes_B)
    return tables_BCV.gather(2, places).view_as(images_BCHW)


def tables(counts_BCV: Tensor, gray_B: Tensor, operations_B: Tensor, magnitudes_B: Tensor) -> Tensor:
    """Return what each of the 256 values of each channel becomes, uint8 (B, 3, 256).

    ``counts_BCV`` are how often they occur, ``gray_B`` the mean gray of the images.
    """
    values = torch.arange(256, device=counts_BCV.device)
    factor_B11 = magnitudes_B[:, None, None]
    gray_B11 = (gray_B + 0.5).floor().float()[:, None, None]
    bits_B11 = magnitudes_B.long()[:, None, None]
    made = {
        "brightness": (factor_B11 * values).clamp(0, 255).floor(),
        "contrast": (gray_B11 + factor_B11 * (values - gray_B11)).clamp(0, 255).floor(),
        "posterize": (values >> (8 - bits_B11)) << (8 - bits_B11),
        "solarize": torch.where(values < magnitudes_B[:, None, None], values, 255 - values),
        "autocontrast": _stretched(counts_BCV, values),
        "equalize": _equalized(counts_BCV, values),
    }
    result = values.to(torch.uint8).expand_as(counts_BCV)
    for name, table in made.items():
        result = torch.where((operations_B == OPERATIONS[name])[:, None, None], table.to(torch.uint8), result)
    return result


def _stretched(counts_BCV: Tensor, values: Tensor) -> Tensor:
    low_BC1 = torch.where(counts_BCV > 0, values, 255).amin(2, keepdim=True)
    high_BC1 = torch.where(counts_BCV > 0, values, 0).amax(2, keepdim=True)
    range_BC1 = (high_BC1 - low_BC1).clamp(min=1).double()
    scale_BC1 = torch.full_like(range_BC1, 255) / range_BC1  # a number over a tensor would be rounded twice
    stretched = (values * scale_BC1 - low_BC1 * scale_BC1).clamp(0, 255).floor()
    return torch.where(high_BC1 > low_BC1, stretched, values)


def _equalized(counts_BCV: Tensor, values: Tensor) -> Tensor:
    high_BC1 = torch.where(counts_BCV > 0, values, 0).amax(2, keepdim=True)
    total_BC1 = counts_BCV.sum(2, keepdim=True)
    step_BC1 = (total_BC1 - counts_BCV.gather(2, high_BC1)) // 255
    before_BCV = counts_BCV.cumsum(2) - counts_BCV
    equalized = ((step_BC1 // 2 + before_BCV) // step_BC1.clamp(min=1)).clamp(max=255)
    return torch.where(step_BC1 > 0, equalized, values)


def _color(images_BCHW: Tensor, operations_B: Tensor, magnitudes_B: Tensor) -> Tensor:
    return _blended(_gray(images_BCHW), images_BCHW, magnitudes_B)


def _sharpen(images_BCHW: Tensor, operations_B: Tensor, magnitudes_B: Tensor) -> Tensor:
    """Blend with the mean of 3 x 3 pixels, of which the middle one counts five times; the border stays."""
    pixels, smooth = images_BCHW.int(), images_BCHW.clone()
    rows = pixels[:, :, :-2] + pixels[:, :, 1:-1] + pixels[:, :, 2:]
    sums = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * pixels[:, :, 1:-1, 1:-1]
    smooth[:, :, 1:-1, 1:-1] = ((sums * 2 + 13) // 26).to(torch.uint8)
    return _blended(smooth, images_BCHW, magnitudes_B)


def _blended(other_BCHW: Tensor, images_BCHW: Tensor, magnitudes_B: Tensor) -> Tensor:
    other, factor = other_BCHW.float(), magnitudes_B[:, None, None, None]
    return (other + factor * (images_BCHW - other)).clamp(0, 255).to(torch.uint8)


def _gray(images_BCHW: Tensor) -> Tensor:
    """Return Pillow's gray, int32 (B, 1, H, W)."""
    red, green, blue = images_BCHW.int().unbind(1)
    return ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16)[:, None]


def _numbers(first: str, last: str) -> list[int]:
    return list(range(OPERATIONS[first], OPERATIONS[last] + 1))


_FUNCTIONS: tuple[tuple[list[int], Callable[[Tensor, Tensor, Tensor], Tensor]], ...] = (
    (_numbers("shear_x", "rotate"), _move),
    (_numbers("brightness", "equalize"), _look_up),
    (_numbers("color", "color"), _color),
    (_numbers("sharpness", "sharpness"), _sharpen),
)
"""numbers of operations, and the function that applies them"""

AUTO = Augmentation(key=8, columns=4, enabled=lambda augment: augment.auto != "none", draw=draw, apply=apply)
