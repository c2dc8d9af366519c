"""Augmentations beyond crop and mirror: resized crops, colors, mean and standard deviation."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.config.schema import AugmentConfig, NormalizeConfig
from lib.data.augment import color_jitter, erasing, padded_crop, pca_lighting, resized_crop
from lib.data.augment.color_jitter import COLOR_JITTER, GRAY, ORDERS
from lib.data.augment.erasing import ERASING
from lib.data.augment.padded_crop import PADDED_CROP
from lib.data.augment.params import AugmentParams, center_params, draw_params, rows_to_read
from lib.data.augment.pca_lighting import EIGENVALUES, EIGENVECTORS, PCA_LIGHTING
from lib.data.augment.registry import AUGMENTATIONS, COLUMNS, PLAIN_COLUMNS, columns_of
from lib.data.augment.resized_crop import RESIZED_CROP
from lib.data.augment.transform import Transform, crop_and_normalize
from lib.data.upload import view_as
from lib.errors import ConfigError

WINDOW, JITTER, LIGHTING, PADDED = map(columns_of, (RESIZED_CROP, COLOR_JITTER, PCA_LIGHTING, PADDED_CROP))
ERASED = columns_of(ERASING)
SIZE, CROP = 20, 14
ALL = AugmentConfig(crop="resized", color_jitter=0.4, pca_lighting=0.1, erasing=0.7)
CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
IMAGES = torch.from_numpy(RNG.integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8))
NORMALIZE = NormalizeConfig()
MEAN_CHW = RNG.random((3, SIZE, SIZE), dtype=np.float32) * 255


def draw(augment: AugmentConfig, count: int = 8, seed: int = 1, epoch: int = 0) -> AugmentParams:
    return draw_params(count, img_size=SIZE, crop=CROP, augment=augment, seed=seed, epoch=epoch)


def seen(augment: AugmentConfig, rows: AugmentParams, normalize: NormalizeConfig = NORMALIZE) -> np.ndarray:
    return Transform(augment, normalize, MEAN_CHW, CROP, CPU)(IMAGES, torch.from_numpy(rows)).numpy()


def test_by_default_rows_are_plain_and_only_cropped_and_mirrored() -> None:
    rows = draw(AugmentConfig())
    assert (rows.dtype, *rows.shape) == (np.dtype(np.int16), 8, PLAIN_COLUMNS)
    mean_HWC = torch.from_numpy(MEAN_CHW.transpose(1, 2, 0).copy())
    expected = crop_and_normalize(IMAGES, mean_HWC, torch.from_numpy(rows), CROP)
    assert np.array_equal(seen(AugmentConfig(), rows), expected.numpy())


def test_wide_rows_depend_on_seed_epoch_and_image() -> None:
    assert draw(ALL).tobytes() == draw(ALL).tobytes()
    for part in (WINDOW, JITTER, LIGHTING, ERASED):
        assert len({draw(ALL, seed=s, epoch=e)[:, part].tobytes() for s in (1, 2) for e in (0, 1)}) == 4
    assert len(np.unique(draw(ALL, 100), axis=0)) == 100


def test_an_augmentation_draws_the_same_whichever_others_are_on() -> None:
    everything = draw(ALL)
    for part, kind in (
        (WINDOW, AugmentConfig(crop="resized")),
        (JITTER, AugmentConfig(color_jitter=0.4)),
        (LIGHTING, AugmentConfig(pca_lighting=0.1)),
        (ERASED, AugmentConfig(erasing=0.7)),
    ):
        alone = draw(kind)
        assert alone.shape == (8, COLUMNS)
        assert np.array_equal(alone[:, part], everything[:, part])
        assert everything[:, part].any()
    assert np.array_equal(draw(AugmentConfig(color_jitter=0.4))[:, :PLAIN_COLUMNS], draw(AugmentConfig()))


def test_every_augmentation_has_its_own_key() -> None:
    keys = [augmentation.key for augmentation in AUGMENTATIONS]
    assert len(set(keys)) == len(keys)


def test_drawn_parameters_are_the_same_in_every_version() -> None:
    """A resumed run draws what the version that began it would have drawn."""
    expected = [
        [3, 3, 1, *(11, 13, 24, 24), *(0.984, 1.269, 1.044, 2), *(-14.910, -15.441, -15.339)],
        [3, 3, 0, *(0, 3, 12, 12), *(0.979, 1.298, 1.243, 3), *(-4.464, -3.671, -3.023)],
    ]
    erased = [[0.760, 0.338, 0, 0, 117.616, 213.715, 195.076], [0.140, 0.617, 0.758, 0.360, 208.743, 167.358, 25.121]]
    augment = AugmentConfig(crop="resized", color_jitter=0.3, pca_lighting=0.2, erasing=0.7)
    drawn = draw_params(2, img_size=40, crop=33, augment=augment, seed=1, epoch=0)
    parts = [drawn[:, :PLAIN_COLUMNS], *(drawn[:, part] for part in (WINDOW, JITTER, LIGHTING))]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), np.array(expected), atol=1e-3)
    np.testing.assert_allclose(drawn[:, ERASED], erased, atol=1e-3)


def test_windows_have_the_documented_areas_and_ratios() -> None:
    top, left, height, width = resized_crop.draw(20_000, 256, ALL, np.random.default_rng(0)).T
    assert min(top.min(), left.min()) == 0
    assert (top + height).max() == (left + width).max() == 256
    area, ratio = height * width / 256**2, width / height
    assert 0.07 < area.min() < 0.09
    assert area.max() > 0.97
    assert 0.73 < ratio.min() < 0.77
    assert 1.31 < ratio.max() < 1.36
    assert abs(np.log(ratio).mean()) < 0.01
    narrow = width < 200
    assert abs((left / np.maximum(256 - width, 1))[narrow].mean() - 0.5) < 0.01


def test_windows_of_ratio_1_are_squares_of_the_documented_areas() -> None:
    augment = replace(ALL, area=0.35, ratio=(1.0, 1.0))
    _, _, height, width = resized_crop.draw(20_000, 256, augment, np.random.default_rng(0)).T
    assert np.array_equal(height, width)
    assert np.allclose(np.quantile(width**2 / 256**2, [0, 0.25, 0.5, 1]), [0.35, 0.5125, 0.675, 1], atol=0.01)
    with pytest.raises(ConfigError, match=r"augment.ratio is \[2.0, 0.5\]; name the least ratio first"):
        AugmentConfig(ratio=(2.0, 0.5))


def bilinear(image: np.ndarray, window: np.ndarray, crop: int) -> np.ndarray:
    """Return the window (top, left, height, width) resized, pixel by pixel."""
    top, left, height, width = map(int, window)
    window = image[top : top + height, left : left + width].astype(np.float64)
    out = np.zeros((crop, crop, 3))
    for i in range(crop):
        for j in range(crop):
            y = np.clip((i + 0.5) * height / crop - 0.5, 0, height - 1)
            x = np.clip((j + 0.5) * width / crop - 0.5, 0, width - 1)
            low, high = (int(y), int(x)), (min(int(y) + 1, height - 1), min(int(x) + 1, width - 1))
            dy, dx = y - low[0], x - low[1]
            upper = (1 - dx) * window[low[0], low[1]] + dx * window[low[0], high[1]]
            lower = (1 - dx) * window[high[0], low[1]] + dx * window[high[0], high[1]]
            out[i, j] = (1 - dy) * upper + dy * lower
    return out


def test_resized_crops_equal_plain_numpy() -> None:
    windows = np.array(
        [[0, 0, 20, 20], [3, 5, 14, 14], [2, 11, 18, 9], [19, 0, 1, 3], *resized_crop.draw(4, SIZE, ALL, RNG)]
    )
    mirror = np.array([0, 1, 0, 1, 0, 1, 0, 1], np.float32)
    images_BCHW = IMAGES.permute(0, 3, 1, 2).float()
    got = resized_crop.crop(images_BCHW, torch.from_numpy(windows.astype(np.float32)), torch.from_numpy(mirror), CROP)
    for image, window, flip, view in zip(IMAGES.numpy(), windows, mirror, got.numpy(), strict=True):
        expected = bilinear(image, window, CROP)
        expected = expected[:, ::-1] if flip else expected
        np.testing.assert_allclose(view, expected.transpose(2, 0, 1), atol=0.02)


def test_a_resized_crop_loses_the_mean_of_its_own_window() -> None:
    params = AugmentConfig(crop="resized")
    rows = draw(params)
    got = seen(params, rows)
    mean_HWC = MEAN_CHW.transpose(1, 2, 0)
    for image, row, view in zip(IMAGES.numpy(), rows, got, strict=True):
        expected = bilinear(image - mean_HWC, row[WINDOW].astype(int), CROP)
        expected = expected[:, ::-1] if row[2] else expected
        np.testing.assert_allclose(view, expected.transpose(2, 0, 1), atol=0.02)


def test_padded_crops_equal_plain_numpy() -> None:
    """The border is zero after the mean image is subtracted."""
    augment = AugmentConfig(pad=4)
    rows = draw(augment)
    padded = np.pad(IMAGES.numpy().transpose(0, 3, 1, 2) - MEAN_CHW, ((0, 0), (0, 0), (4, 4), (4, 4)))
    for image, row, view in zip(padded, rows, seen(augment, rows), strict=True):
        top, left = (row[PADDED][:2] * (SIZE - CROP + 9)).astype(int)
        window = image[:, top : top + CROP, left : left + CROP]
        np.testing.assert_allclose(view, window[:, :, ::-1] if row[2] else window, atol=1e-4)


def test_every_place_of_a_padded_crop_is_equally_likely() -> None:
    drawn = padded_crop.draw(90_000, 32, AugmentConfig(pad=4), np.random.default_rng(0)).astype(np.float32)
    assert (drawn[:, 2] == 4).all()
    for axis in (0, 1):
        counts = np.bincount((drawn[:, axis] * 9).astype(int))
        assert len(counts) == 9
        assert ((counts - 10_000) ** 2 / 10_000).sum() < 26.1  # 8 degrees of freedom: once in a thousand by chance


def gray_of(image_CHW: np.ndarray) -> np.ndarray:
    return np.tensordot(GRAY, image_CHW, 1)[None]


STEPS = (
    lambda image, factor: factor * image,
    lambda image, factor: factor * image + (1 - factor) * gray_of(image).mean(),
    lambda image, factor: factor * image + (1 - factor) * gray_of(image),
)
"""brightness, contrast, saturation of one image"""


def test_jitter_equals_one_image_at_a_time() -> None:
    images = RNG.random((6, 3, 5, 5)) * 255
    drawn = color_jitter.draw(6, SIZE, ALL, RNG)
    drawn[:, 3] = range(6)  # every order once
    got = color_jitter.apply(torch.from_numpy(images), torch.from_numpy(drawn)).numpy()
    assert len(set(ORDERS)) == 6
    for image, (*factors, order), view in zip(images, drawn, got, strict=True):
        for kind in ORDERS[int(order)]:
            image = STEPS[kind](image, factors[kind])
        np.testing.assert_allclose(view, image, rtol=1e-5, atol=1e-4)


def test_jitter_keeps_to_its_strength_and_uses_every_order() -> None:
    drawn = color_jitter.draw(5000, SIZE, AugmentConfig(color_jitter=0.3), np.random.default_rng(0))
    assert (np.abs(drawn[:, :3] - 1) <= 0.3).all()
    assert np.allclose(drawn[:, :3].std(0), 0.6 / np.sqrt(12), rtol=0.05)
    assert (np.bincount(drawn[:, 3].astype(int)) > 700).all()


def test_lighting_follows_the_principal_components() -> None:
    added = pca_lighting.draw(200_000, SIZE, ALL, np.random.default_rng(0))
    vectors, values = np.array(EIGENVECTORS), np.array(EIGENVALUES)
    expected = (vectors * (25.5 * values) ** 2) @ vectors.T
    assert np.allclose(np.cov(added.T), expected, rtol=0.02, atol=0.05)


def test_erased_rectangles_equal_plain_numpy() -> None:
    drawn = erasing.draw(20, SIZE, AugmentConfig(erasing=0.7), RNG).astype(np.float32)
    images = RNG.random((20, 3, 12, 12), dtype=np.float32) * 255
    got = erasing.apply(torch.from_numpy(images), torch.from_numpy(drawn)).numpy()
    for image, (top, left, height, width, *color), view in zip(images.copy(), drawn, got, strict=True):
        for i, j in np.ndindex(12, 12):
            if top <= (i + 0.5) / 12 < top + height and left <= (j + 0.5) / 12 < left + width:
                image[:, i, j] = color
        assert np.array_equal(view, image)
    assert 0 < (got != images).any((1, 2, 3)).sum() < 20


def test_rectangles_have_the_documented_share_areas_and_ratios() -> None:
    drawn = erasing.draw(50_000, SIZE, AugmentConfig(erasing=0.25), np.random.default_rng(0))
    corners, sizes, color = drawn[:, :2], drawn[:, 2:4], drawn[:, 4:]
    erased = sizes.any(1)
    assert abs(erased.mean() - 0.25) < 0.01
    assert corners.min() >= 0
    assert (corners + sizes).max() <= 1
    height, width = sizes[erased].T
    assert (height * width).min() == pytest.approx(0.02, abs=0.001)
    assert (height * width).max() == pytest.approx(1 / 3, abs=0.001)
    assert (height * width).mean() == pytest.approx((0.02 + 1 / 3) / 2, rel=0.02)
    assert (height / width).min() == pytest.approx(0.3, rel=0.02)
    assert (height / width).max() == pytest.approx(1 / 0.3, rel=0.02)
    assert abs((corners / (1 - sizes).clip(1e-9))[erased & (sizes < 0.9).all(1)].mean() - 0.5) < 0.01
    assert np.allclose(color.mean(0), 127.5, atol=2)


def plainly_cut(whole_CHW: np.ndarray, row: np.ndarray) -> np.ndarray:
    top, left, mirror = row[:PLAIN_COLUMNS].astype(int)
    window = whole_CHW[:, top : top + CROP, left : left + CROP].astype(np.float64)
    return window[:, :, ::-1] if mirror else window


def test_colors_change_after_the_crop_and_before_the_mean() -> None:
    augment = AugmentConfig(color_jitter=0.4, pca_lighting=0.1)
    rows = draw(augment)
    got = seen(augment, rows, NormalizeConfig(std=(2.0, 4.0, 8.0)))
    for image, row, view in zip(IMAGES.numpy(), rows, got, strict=True):
        expected = plainly_cut(image.transpose(2, 0, 1), row)
        for kind in ORDERS[int(row[JITTER][3])]:
            expected = STEPS[kind](expected, row[JITTER][kind])
        expected = expected + row[LIGHTING][:, None, None] - plainly_cut(MEAN_CHW, row)
        np.testing.assert_allclose(view, expected / np.array([2, 4, 8])[:, None, None], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("wide", [False, True])
def test_mean_and_std_are_subtracted_and_divided(wide: bool) -> None:
    base = AugmentConfig(crop="center", mirror=False, pca_lighting=1e-9 if wide else 0.0)
    rows = draw(base)
    assert rows.shape[1] == (COLUMNS if wide else PLAIN_COLUMNS)
    window = IMAGES.numpy().transpose(0, 3, 1, 2)[:, :, 3:17, 3:17].astype(np.float64)
    channel = MEAN_CHW.mean((1, 2))[:, None, None]
    assert np.allclose(seen(base, rows, NormalizeConfig(mean="none")), window, atol=1e-4)
    assert np.allclose(seen(base, rows, NormalizeConfig(mean="channel")), window - channel, atol=1e-4)
    assert np.allclose(seen(base, rows), window - MEAN_CHW[:, 3:17, 3:17], atol=1e-4)
    std = np.array([2, 4, 8])[:, None, None]
    assert np.allclose(
        seen(base, rows, NormalizeConfig(mean="channel", std=(2.0, 4.0, 8.0))), (window - channel) / std, atol=1e-4
    )


def test_validation_changes_no_colors() -> None:
    centre = center_params(8, img_size=SIZE, crop=CROP)
    assert np.array_equal(seen(ALL, centre), seen(AugmentConfig(), centre))


@pytest.mark.parametrize("params", [AugmentConfig(), ALL], ids=["plain", "wide"])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_rows_of_either_width_fit_into_the_same_memory(params: AugmentConfig, count: int) -> None:
    rows = draw(params, count)
    memory = torch.zeros(8 * COLUMNS * 4, dtype=torch.uint8)
    view_as(memory, rows).copy_(torch.from_numpy(rows))
    assert np.array_equal(view_as(memory, rows).numpy(), rows)


def test_windows_are_resized_in_equal_parts_of_the_training() -> None:
    augment = AugmentConfig(sizes=(10, 12, CROP), mirror=False)
    assert [augment.size(epoch, 8) for epoch in range(8)] == [10, 10, 10, 12, 12, 12, CROP, CROP]
    assert [AugmentConfig(sizes=(12,)).size(epoch, 8) for epoch in (0, 7)] == [12, 12]
    assert AugmentConfig().size(0, 8) is None
    rows = draw(augment)
    assert rows.shape == (8, COLUMNS)
    assert rows_to_read(augment, img_size=SIZE, crop=CROP) == SIZE
    transform = Transform(augment, NormalizeConfig(mean="none"), MEAN_CHW, CROP, CPU)
    transform.size = 10
    for image, row, view in zip(IMAGES.numpy(), rows, transform(IMAGES, torch.from_numpy(rows)).numpy(), strict=True):
        expected = bilinear(image, np.array([*row[:2], CROP, CROP]), 10)
        np.testing.assert_allclose(view, expected.transpose(2, 0, 1), atol=0.02)
    with pytest.raises(ConfigError, match="augment.sizes is .14, 12.; list the sides in rising order"):
        AugmentConfig(sizes=(14, 12))
