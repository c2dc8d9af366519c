"""The kernels of ``lib.data.augment.fused`` compute what ``Transform`` does. Without a GPU, Triton interprets them."""

from typing import Any

import numpy as np
import pytest
import torch

from lib.config.schema import AugmentConfig, NormalizeConfig
from lib.data.augment.auto import OPERATIONS, apply
from lib.data.augment.fused import transform_to_blocks
from lib.data.augment.params import draw_params, rows_to_read
from lib.data.augment.transform import Transform
from lib.kernels.auto import operate
from lib.kernels.crop import to_blocks

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SIDE, CROP, COUNT = 9, 6, 3
ROWS, PAD = 4, 1
RNG = np.random.default_rng(0)
IMAGES = torch.from_numpy(RNG.integers(0, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)).to(DEVICE)
MEAN_CHW = RNG.random((3, SIDE, SIDE), dtype=np.float32) * 255
CASES: dict[str, tuple[dict[str, Any], NormalizeConfig]] = {
    "colors": ({"color_jitter": 0.4, "pca_lighting": 0.1, "erasing": 0.6}, NormalizeConfig()),
    "resized": ({"crop": "resized", "area": 0.3, "mixup": 0.5}, NormalizeConfig()),
    "padded, turned": ({"pad": 4, "rotation": 20.0, "cutmix": 1.0}, NormalizeConfig(mean="channel")),
    "smaller": ({"sizes": (5, CROP), "color_jitter": 0.4, "cutmix": 1.0}, NormalizeConfig()),
    "padded, smaller": ({"sizes": (5, CROP), "pad": 2}, NormalizeConfig()),
    "bicubic": ({"crop": "resized", "area": 0.3, "interpolation": "bicubic"}, NormalizeConfig()),
    "bicubic, padded, turned": (
        {"pad": 4, "rotation": 20.0, "interpolation": "bicubic"},
        NormalizeConfig(mean="channel"),
    ),
    "bicubic, turned": ({"rotation": 30.0, "interpolation": "bicubic", "auto": "trivial"}, NormalizeConfig()),
    "trivial": ({"auto": "trivial", "color_jitter": 0.4}, NormalizeConfig(mean="channel")),
    "everything": (
        {
            **{
                "crop": "resized",
                "auto": "rand",
                "rotation": 100.0,
                "shear": 5.0,
                "color_jitter": 0.2,
                "pca_lighting": 0.1,
            },
            **{"erasing": 0.5, "mixup": 0.5, "cutmix": 1.0},
        },
        NormalizeConfig(mean="channel", std=(58.4, 57.12, 57.38)),
    ),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_kernels_are_the_transform(name: str) -> None:
    keys, normalize = CASES[name]
    augment = AugmentConfig(**keys)
    params = torch.from_numpy(draw_params(COUNT, img_size=SIDE, crop=CROP, augment=augment, seed=3, epoch=0)).to(DEVICE)
    images = IMAGES
    if rows_to_read(augment, img_size=SIDE, crop=CROP) == CROP:  # as the loader reads them
        tops = params[:, 0].long().tolist()
        images = torch.stack([image[top : top + CROP] for image, top in zip(IMAGES, tops, strict=True)])
    transform = Transform(augment, normalize, MEAN_CHW, CROP, DEVICE)
    transform.size = augment.size(0, 2) or CROP
    expected = to_blocks(transform(images, params), 2, ROWS, PAD)
    out = torch.full((COUNT + 1, ROWS, ROWS, 16), float("nan"), device=DEVICE)
    transform_to_blocks(transform, images, params, out, side=2, pad=PAD)
    torch.testing.assert_close(out[:COUNT, ..., :12], expected, rtol=1e-4, atol=0.02)
    assert out[COUNT].isnan().all()
    assert out[..., 12:].isnan().all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_kernels_are_all_operations() -> None:
    names = list(OPERATIONS)
    magnitudes = {"posterize": 3.0, "solarize": 120.0, "rotate": 30.0, "translate_x": 2.0, "translate_y": -3.0}
    rows = torch.tensor([[OPERATIONS[name], magnitudes.get(name, 0.4), 0.0, 0.0] for name in names], device=DEVICE)
    side = 12
    noise = np.random.default_rng(1).normal(0, 20, (len(names), side, side, 3)) + np.linspace(60, 180, side)[:, None]
    images = torch.from_numpy(noise.clip(0, 255).astype(np.uint8)).to(DEVICE)
    expected = apply(images.permute(0, 3, 1, 2).float(), rows).permute(0, 2, 3, 1)
    found = operate(images, rows, 0).float()
    for name, view, plain in zip(names, found, expected, strict=True):
        # Sines of other libraries may give another nearest pixel.
        assert (view != plain).float().mean() <= (0.02 if name == "rotate" else 0), name
