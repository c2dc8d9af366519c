"""The fast resampler gives almost the pixels of Pillow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from lib.data.images.resampling import Box, resample


def resample_with_pillow(pixels_HWC: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8]:
    """Return what ``resample`` should, computed by Pillow."""
    corners = (box.left, box.top, box.left + box.width, box.top + box.height)
    image = Image.fromarray(pixels_HWC)
    return np.array(image.resize((size, size), Image.Resampling.BILINEAR, box=corners))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 17, 64]), st.integers(0, 1000), st.booleans())
def test_noise_differs_by_rounding_only(height: int, width: int, size: int, seed: int, cut: bool) -> None:
    pixels_HWC = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    box = Box(0.25 * width, 0.1 * height, 0.5 * width, 0.75 * height) if cut else Box(0, 0, width, height)
    fast, plain = resample(pixels_HWC, box, size), resample_with_pillow(pixels_HWC, box, size)
    assert fast.shape == plain.shape == (size, size, 3)
    assert fast.dtype == np.uint8
    difference = np.abs(fast.astype(int) - plain)
    assert difference.max() <= 2  # it rounds after each axis
    assert difference.size < 1000 or difference.mean() < 0.5


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (1, 3000), (200, 200)])
def test_images_differ_by_less_than_a_quarter_of_a_level_on_average(height: int, width: int) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    pixels_HWC = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    box = Box(0, 0, width, height)
    difference = resample(pixels_HWC, box, 256).astype(int) - resample_with_pillow(pixels_HWC, box, 256)
    assert np.abs(difference).mean() < 0.25
    assert np.abs(difference).max() <= 1
