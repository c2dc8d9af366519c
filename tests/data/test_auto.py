"""TrivialAugment and RandAugment against Pillow, which torchvision applies them with."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from lib.config.schema import AugmentConfig
from lib.data.augment.auto import OPERATIONS, apply, draw

SIDE = 33
RNG = np.random.default_rng(0)


def photograph(side: int = SIDE) -> Image.Image:
    """Return a picture whose channels have different ranges and few extreme values."""
    y, x = np.mgrid[:side, :side] / side
    smooth = np.stack([60 + 120 * x, 200 * y * x + 20, 90 + 100 * np.sin(4 * y + x)], axis=2)
    return Image.fromarray((smooth + RNG.normal(0, 12, smooth.shape)).clip(0, 255).astype(np.uint8))


def by_pillow(image: Image.Image, name: str, magnitude: float) -> Image.Image:
    """As torchvision.transforms.autoaugment._apply_op does with Pillow."""
    moved = {
        "shear_x": (1, magnitude, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, magnitude, 1, 0),
        "translate_x": (1, 0, -magnitude, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, -magnitude),
    }
    enhanced = {
        "brightness": ImageEnhance.Brightness,
        "contrast": ImageEnhance.Contrast,
        "color": ImageEnhance.Color,
        "sharpness": ImageEnhance.Sharpness,
    }
    if name in moved:
        return image.transform(image.size, Image.Transform.AFFINE, moved[name], Image.Resampling.NEAREST)
    if name in enhanced:
        return enhanced[name](image).enhance(magnitude)
    others = {
        "identity": lambda: image,
        "rotate": lambda: image.rotate(magnitude, Image.Resampling.NEAREST),
        "posterize": lambda: ImageOps.posterize(image, int(magnitude)),
        "solarize": lambda: ImageOps.solarize(image, int(magnitude)),
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
    }
    return others[name]()


def images_of(pictures: list[Image.Image]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2).float()


MAGNITUDES = {
    "shear_x": (0.4, -0.99),
    "shear_y": (0.3, -0.7),
    "translate_x": (5.0, -14.0),
    "translate_y": (7.0, -32.0),
    "rotate": (17.0, -101.0),
    "posterize": (2.0, 5.0, 8.0),
    "solarize": (0.0, 119.0, 255.0),
    **dict.fromkeys(("brightness", "contrast", "color", "sharpness"), (1.6, 0.2, 1.99)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_pillows(name: str) -> None:
    magnitudes = MAGNITUDES.get(name, (0.0,))
    pictures = [photograph() for _ in magnitudes]
    rows = np.array([[OPERATIONS[name], magnitude, 0, 0] for magnitude in magnitudes], np.float32)
    got = apply(images_of(pictures), torch.from_numpy(rows))
    for picture, magnitude, view in zip(pictures, magnitudes, got.numpy(), strict=True):
        expected = np.asarray(by_pillow(picture, name, magnitude)).transpose(2, 0, 1)
        # Pillow moves in fixed-point numbers: a pixel in a thousand has another nearest one.
        assert (view != expected).mean() <= (0.002 if "_" in name or name == "rotate" else 0), name


def test_flat_pictures_are_not_stretched() -> None:
    pictures = [Image.new("RGB", (SIDE, SIDE), (9, 99, 200))] * 2
    rows = torch.tensor([[OPERATIONS[name], 0.0, 0.0, 0.0] for name in ("autocontrast", "equalize")])
    assert torch.equal(apply(images_of(pictures), rows), images_of(pictures))


def test_rounds_follow_each_other() -> None:
    picture = photograph()
    row = [[OPERATIONS["brightness"], 1.5, OPERATIONS["rotate"], 90.0]]
    expected = by_pillow(by_pillow(picture, "brightness", 1.5), "rotate", 90.0)
    assert torch.equal(apply(images_of([picture]), torch.tensor(row)), images_of([expected]))


def test_magnitudes_are_torchvisions() -> None:
    trivial = draw(100_000, 144, AugmentConfig(auto="trivial"), np.random.default_rng(0))
    assert (trivial[:, 2:] == 0).all()
    shares = np.bincount(trivial[:, 0].astype(int)) / len(trivial)
    assert np.allclose(shares, 1 / len(OPERATIONS), atol=0.004)

    def strengths(rows: np.ndarray, name: str) -> list[float]:
        return sorted(set(rows[rows[:, 0] == OPERATIONS[name], 1].round(4)))

    assert strengths(trivial, "rotate")[::60] == [-135, 135]
    assert len(strengths(trivial, "rotate")) == 61
    assert strengths(trivial, "translate_x")[::30] == [-32, 0, 32]
    assert strengths(trivial, "posterize") == [2, 3, 4, 5, 6, 7, 8]
    assert strengths(trivial, "solarize")[-1] == 255
    rand = draw(20_000, 331, AugmentConfig(auto="rand"), np.random.default_rng(0))
    rounds = np.concatenate([rand[:, :2], rand[:, 2:]])
    assert strengths(rounds, "rotate") == [-9, 9]
    assert strengths(rounds, "shear_y") == [-0.09, 0.09]
    assert strengths(rounds, "translate_y") == [-45, 45]
    assert strengths(rounds, "color") == [0.73, 1.27]
    assert strengths(rounds, "posterize") == [7]
    assert strengths(rounds, "solarize") == [178.5]
