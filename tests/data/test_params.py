from typing import Literal

import numpy as np
import pytest
import torch

from lib.config.schema import AugmentConfig
from lib.data.augment.params import center_params, draw_params, eval_crop_params
from lib.data.augment.transform import crop_and_normalize


def test_crop_mirror_and_mean_equal_plain_numpy() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 12, 12, 3), dtype=np.uint8)
    mean = rng.random((12, 12, 3), dtype=np.float32) * 255
    params = draw_params(6, img_size=12, crop=7, augment=AugmentConfig(), seed=1, epoch=2)
    assert set(params[:, 2]) == {0, 1}  # both kinds are among them
    got = crop_and_normalize(torch.from_numpy(images), torch.from_numpy(mean), torch.from_numpy(params), 7)
    for image, (top, left, mirror), view in zip(images, params, got.numpy(), strict=True):
        window = (image.astype(np.float32) - mean)[top : top + 7, left : left + 7]
        window = window[:, ::-1] if mirror else window
        assert np.array_equal(view, window.transpose(2, 0, 1))


def test_every_offset_is_equally_likely() -> None:
    """theano_alexnet never drew the last of its 30 offsets, and the first and the one before the last half as often."""
    n = 300_000
    params = draw_params(n, img_size=256, crop=227, augment=AugmentConfig(), seed=0, epoch=0)
    expected = n / 30
    for axis in (0, 1):
        counts = np.bincount(params[:, axis], minlength=30)
        assert len(counts) == 30
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert chi_square < 58.3  # 29 degrees of freedom: exceeded by chance once in a thousand
    assert abs(params[:, 2].mean() - 0.5) < 0.005


def test_parameters_depend_on_seed_epoch_and_image() -> None:
    def draw(seed: int, epoch: int) -> bytes:
        return draw_params(50, img_size=32, crop=28, augment=AugmentConfig(), seed=seed, epoch=epoch).tobytes()

    assert draw(1, 1) == draw(1, 1)
    assert len({draw(1, 1), draw(2, 1), draw(1, 2)}) == 3


@pytest.mark.parametrize(("crop", "mirror"), [("center", True), ("random", False), ("center", False)])
def test_mirror_and_random_crop_can_be_switched_off(crop: Literal["random", "center"], mirror: bool) -> None:
    config = AugmentConfig(crop=crop, mirror=mirror)
    params = draw_params(100, img_size=256, crop=227, augment=config, seed=1, epoch=1)
    assert (len(np.unique(params[:, 0])) > 1) == (crop == "random")
    assert params[:, 2].any() == mirror
    if crop == "center":
        assert (params[:, :2] == 14).all()


def test_center_parameters_are_not_mirrored() -> None:
    assert center_params(2, img_size=256, crop=227).tolist() == [[14, 14, 0]] * 2


def test_evaluation_averages_center_corners_and_their_mirror_images() -> None:
    ten = eval_crop_params(10, img_size=256, crop=227).tolist()
    corners = [[14, 14], [0, 0], [0, 29], [29, 0], [29, 29]]
    assert ten == [[*corner, mirror] for mirror in (0, 1) for corner in corners]
    assert eval_crop_params(2, img_size=256, crop=227).tolist() == [[14, 14, 0], [14, 14, 1]]
    assert eval_crop_params(1, img_size=256, crop=227).tolist() == [[14, 14, 0]]
