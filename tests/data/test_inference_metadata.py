"""The metadata for weights of other programs: from a packed data set, or from any folder that names the classes."""

from pathlib import Path

import numpy as np
import pytest

from lib.data.inference_metadata import IMAGENET_MEAN, inference_metadata
from lib.data.packed.layout import layout
from lib.errors import DataError
from tests.support.data_files import write_jpeg_folder
from tests.support.data_sets import write_data_set

WORDS = "n02 chain saw, chainsaw\nn01 tench\n"


def test_a_packed_data_set_has_everything(tmp_path: Path) -> None:
    at = write_data_set(tmp_path / "data")
    beside = inference_metadata(at.dir)
    assert np.array_equal(beside.mean_CHW, np.load(at.mean))
    assert [c.name for c in beside.classes] == [f"class {i}" for i in range(4)]


def test_a_list_of_names_is_enough(tmp_path: Path) -> None:
    (tmp_path / "synset_words.txt").write_text(WORDS)
    beside = inference_metadata(tmp_path)
    assert [(c.index, c.wnid, c.name) for c in beside.classes] == [
        (0, "n02", "chain saw, chainsaw"),
        (1, "n01", "tench"),
    ]
    assert beside.mean_CHW.shape == (3, 256, 256)
    assert beside.mean_CHW[:, 7, 9].tolist() == pytest.approx(IMAGENET_MEAN)
    mean = np.random.default_rng(0).uniform(0, 255, (3, 40, 40))  # float64, as in theano_alexnet
    np.save(tmp_path / "img_mean.npy", mean)
    np.testing.assert_allclose(inference_metadata(tmp_path).mean_CHW, mean, rtol=1e-6)


def test_class_folders_are_enough(tmp_path: Path) -> None:
    write_jpeg_folder(tmp_path / "data", train=8, val=8)
    (tmp_path / "data/synset_words.txt").write_text(WORDS)
    names = {c.wnid: c.name for c in inference_metadata(tmp_path / "data").classes}
    assert list(names) == ["n00", "n01", "n02", "n03"]
    assert (names["n00"], names["n02"]) == ("n00", "chain saw, chainsaw")


@pytest.mark.parametrize(
    ("mean", "says"),
    [
        (None, "names no classes: it holds no packed data set, no train/CLASS/ and no synset_words.txt or"),
        (b"\x93NUMPY", "img_mean.npy is damaged"),
        (np.zeros((40, 40, 3)), r"img_mean.npy holds float64 \(40, 40, 3\), not a mean image \(3, H, H\)"),
    ],
    ids=["nothing", "damaged", "other shape"],
)
def test_incomplete_or_damaged_metadata_is_refused(tmp_path: Path, mean: bytes | np.ndarray | None, says: str) -> None:
    misc = layout(tmp_path).misc
    misc.mkdir()
    if mean is not None:
        (tmp_path / "synset_words.txt").write_text(WORDS)
    if isinstance(mean, np.ndarray):
        np.save(misc / "img_mean.npy", mean)
    elif mean:
        (misc / "img_mean.npy").write_bytes(mean)
    with pytest.raises(DataError, match=says):
        inference_metadata(tmp_path)
