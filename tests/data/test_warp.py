"""Rotation and shear: how they are drawn, and what they sample."""

import numpy as np
import pytest
import torch

from lib.config.schema import AugmentConfig, NormalizeConfig
from lib.data.augment.padded_crop import PADDED_CROP
from lib.data.augment.params import draw_params, rows_to_read
from lib.data.augment.registry import PLAIN_COLUMNS, columns_of
from lib.data.augment.resized_crop import RESIZED_CROP
from lib.data.augment.transform import Transform
from lib.data.augment.warp import WARP, draw

SIDE, CROP = 14, 9
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
MEAN_CHW = RNG.random((3, SIDE, SIDE), dtype=np.float32) * 255


def transformed(augment: AugmentConfig, rows: np.ndarray) -> np.ndarray:
    transform = Transform(augment, NormalizeConfig(), MEAN_CHW, CROP, torch.device("cpu"))
    return transform(torch.from_numpy(IMAGES), torch.from_numpy(rows)).numpy()


def drawn(augment: AugmentConfig) -> np.ndarray:
    return draw_params(4, img_size=SIDE, crop=CROP, augment=augment, seed=1, epoch=0)


def at(image_CHW: np.ndarray, y: float, x: float, *, zeros: bool) -> np.ndarray:
    """Return the pixel at (y, x), counted from the corner of the image, bilinearly."""

    def pixel(i: int, j: int) -> np.ndarray:
        if zeros and not (0 <= i < SIDE and 0 <= j < SIDE):
            return np.zeros(3)
        i, j = (k if 0 <= k < SIDE else -1 - k if k < 0 else 2 * SIDE - 1 - k for k in (i, j))
        return image_CHW[:, i, j].astype(np.float64)

    i, j = int(np.floor(y - 0.5)), int(np.floor(x - 0.5))
    dy, dx = y - 0.5 - i, x - 0.5 - j
    upper = (1 - dx) * pixel(i, j) + dx * pixel(i, j + 1)
    return (1 - dy) * upper + dy * ((1 - dx) * pixel(i + 1, j) + dx * pixel(i + 1, j + 1))


@pytest.mark.parametrize(
    "augment",
    [
        AugmentConfig(rotation=180.0, shear=15.0),
        AugmentConfig(crop="resized", rotation=30.0),
        AugmentConfig(pad=3, rotation=30.0),
    ],
    ids=["random", "resized", "padded"],
)
def test_turned_windows_equal_plain_numpy(augment: AugmentConfig) -> None:
    rows = drawn(augment)
    assert set(rows[:, 2]) == {0, 1}
    images = IMAGES.transpose(0, 3, 1, 2) - MEAN_CHW
    for image, row, view in zip(images, rows, transformed(augment, rows), strict=True):
        top, left, height, width = row[0], row[1], CROP, CROP
        if augment.crop == "resized":
            top, left, height, width = row[columns_of(RESIZED_CROP)]
        if augment.pad:
            places = row[columns_of(PADDED_CROP)][:2]
            top, left = np.floor(places * (SIDE - CROP + 7)) - 3
        matrix = row[columns_of(WARP)].reshape(2, 2).astype(np.float64)
        for i, j in np.ndindex(CROP, CROP):
            place = np.array([(j + 0.5) / CROP - 0.5, (i + 0.5) / CROP - 0.5]) * (-1 if row[2] else 1, 1)
            across, down = matrix @ (place * (width, height))
            expected = at(image, top + height / 2 + down, left + width / 2 + across, zeros=augment.pad > 0)
            np.testing.assert_allclose(view[:, i, j], expected, atol=0.02)


def test_an_angle_of_0_changes_nothing() -> None:
    augment = AugmentConfig(rotation=1e-9)
    rows = drawn(augment)
    plain = rows[:, :PLAIN_COLUMNS].astype(np.int16)
    np.testing.assert_allclose(transformed(augment, rows), transformed(AugmentConfig(), plain), atol=0.01)


def test_angles_are_uniform_up_to_the_limit() -> None:
    matrices = draw(20_000, SIDE, AugmentConfig(rotation=40.0), np.random.default_rng(0)).reshape(-1, 2, 2)
    angles = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert np.allclose(matrices @ matrices.transpose(0, 2, 1), np.eye(2))
    assert 39 < np.abs(angles).max() <= 40
    assert angles.std() == pytest.approx(80 / np.sqrt(12), rel=0.02)
    slanted = draw(20_000, SIDE, AugmentConfig(shear=20.0), np.random.default_rng(0))
    assert np.allclose(slanted[:, [0, 3]], 1)
    assert np.rad2deg(np.arctan(np.abs(slanted[:, 1:3]))).max(0) == pytest.approx([20, 20], abs=0.1)


def test_a_turned_window_needs_the_whole_image() -> None:
    assert rows_to_read(AugmentConfig(color_jitter=0.4), img_size=SIDE, crop=CROP) == CROP
    assert rows_to_read(AugmentConfig(rotation=5.0), img_size=SIDE, crop=CROP) == SIDE
