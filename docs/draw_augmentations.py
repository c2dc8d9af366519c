#!/usr/bin/env python3
"""Draw the pictures of docs/augmentation.md, of toy images: python docs/draw_augmentations.py."""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # so that this file can be run from any folder

from lib.config.schema import AugmentConfig, NormalizeConfig  # noqa: E402
from lib.data.augment.params import draw_params  # noqa: E402
from lib.data.augment.transform import Transform  # noqa: E402
from lib.packing.toy_images import draw_image  # noqa: E402
from lib.report.images import grid  # noqa: E402

COUNT, SIDE, CROP = 8, 128, 112
PLAIN = AugmentConfig(crop="center", mirror=False)
PICTURES = {
    "none": PLAIN,
    "crop": AugmentConfig(),
    "resized": AugmentConfig(crop="resized", mirror=False),
    "resized_area": AugmentConfig(crop="resized", area=0.35, mirror=False),
    "pad": AugmentConfig(pad=16, mirror=False),
    "rotation": AugmentConfig(crop="center", mirror=False, rotation=20.0),
    "shear": AugmentConfig(crop="center", mirror=False, shear=20.0),
    "color_jitter": AugmentConfig(crop="center", mirror=False, color_jitter=0.4),
    "pca_lighting": AugmentConfig(crop="center", mirror=False, pca_lighting=0.3),
    "trivial": AugmentConfig(crop="center", mirror=False, auto="trivial"),
    "rand": AugmentConfig(crop="center", mirror=False, auto="rand"),
    "erasing": AugmentConfig(crop="center", mirror=False, erasing=1.0),
    "mixup": AugmentConfig(crop="center", mirror=False, mixup=1.0),
    "cutmix": AugmentConfig(crop="center", mirror=False, cutmix=1.0),
}
"""the settings of each picture; some are stronger than usual, to be seen"""


def toys() -> torch.Tensor:
    """Return toy images, uint8 (COUNT, SIDE, SIDE, 3)."""
    images = [draw_image(1, "train", i, 0).convert("RGB").resize((SIDE, SIDE)) for i in range(COUNT)]
    return torch.from_numpy(np.stack([np.asarray(image) for image in images]))


def picture(augment: AugmentConfig, images: torch.Tensor) -> Image.Image:
    """Return a row of the augmented images."""
    rows = torch.from_numpy(draw_params(COUNT, img_size=SIDE, crop=CROP, augment=augment, seed=1, epoch=0))
    black = np.zeros((3, SIDE, SIDE), np.float32)
    transform = Transform(augment, NormalizeConfig(mean="none"), black, CROP, torch.device("cpu"))
    return Image.fromarray(grid(transform(images, rows).clamp(0, 255).numpy(), columns=COUNT, gap=4))


if __name__ == "__main__":
    drawn = toys()
    for name, settings in PICTURES.items():
        picture(settings, drawn).save(ROOT / f"docs/pictures/augment_{name}.jpg", quality=80)
