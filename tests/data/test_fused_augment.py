"""The kernels of ``lib.data.augment.fused`` compute what ``Transform`` does. Without a GPU, Triton interprets them."""

from typing import Any

import numpy as np
import pytest
import torch

from lib.config.schema import AugmentConfig, NormalizeConfig
from lib.data.augment.fused import transform_to_blocks
from lib.data.augment.params import draw_params, rows_to_read
from lib.data.augment.transform import Transform
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
    "everything": (
        {
            **{"crop": "resized", "rotation": 100.0, "shear": 5.0, "color_jitter": 0.2, "pca_lighting": 0.1},
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
    expected = to_blocks(transform(images, params), 2, ROWS, PAD)
    out = torch.full((COUNT + 1, ROWS, ROWS, 16), float("nan"), device=DEVICE)
    transform_to_blocks(transform, images, params, out, side=2, pad=PAD)
    torch.testing.assert_close(out[:COUNT, ..., :12], expected, rtol=1e-4, atol=0.02)
    assert out[COUNT].isnan().all()
    assert out[..., 12:].isnan().all()
