"""The files of theano_alexnet: one set or split in two, with the labels of each."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from lib.config.schema import DataConfig
from lib.data.dataset import read_mean_image
from lib.data.sources.registry import SOURCES
from lib.errors import ConfigError, DataError
from tests.support.data_files import images_of

HICKLE = SOURCES["hickle"]


def write_theano_data_set(folder: Path, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Write 48 training and 16 validation images in files of 16, each split into ``parts``. Return the training set."""
    for split, count in (("val", 16), ("train", 48)):
        images, labels = images_of(count)
        size = 16 // parts
        batches = folder / f"{split}_hkl_b16_b_{size}"
        batches.mkdir(parents=True)
        (folder / "labels").mkdir(exist_ok=True)
        suffixes = [""] if parts == 1 else [f"_{part}" for part in range(parts)]
        for number in range(count // size):
            name = f"{number // parts:04d}{suffixes[number % parts]}.hkl"
            with h5py.File(batches / name, "w") as file:
                file["data_0"] = images[number * size : number * size + size].transpose(3, 1, 2, 0)
        for part, suffix in enumerate(suffixes):
            cached = labels.reshape(-1, parts, size)[:, part].reshape(-1)
            np.save(folder / "labels" / f"{split}_labels{suffix}.npy", cached.astype(np.int32))
    (folder / "misc").mkdir()
    np.save(folder / "misc/img_mean.npy", images.mean(0).transpose(2, 0, 1).astype(np.float64))
    return images, labels


@pytest.mark.parametrize("parts", [1, 2])
def test_images_and_labels_have_the_order_of_the_files(tmp_path: Path, parts: int) -> None:
    images, labels = write_theano_data_set(tmp_path, parts)
    data = DataConfig(dir=tmp_path, shuffle="files")
    of = HICKLE.describe(data)
    assert of.train_counts == (16 // parts,) * 3 * parts
    assert (of.img_size, of.n_classes, of.count("val")) == (32, 4, 16)
    assert np.allclose(read_mean_image(of), images.mean(0).transpose(2, 0, 1))
    source = HICKLE.open(data, of, "train", print)
    assert source.labels.tolist() == labels.tolist()
    indices = np.array([47, 3, 3, 16, 31, 0, 8])
    out = np.zeros((len(indices), 32, 32, 3), np.uint8)
    source.read(indices, out)
    assert np.array_equal(out, images[indices])


def test_single_images_cannot_be_shuffled(tmp_path: Path) -> None:
    write_theano_data_set(tmp_path, 1)
    with pytest.raises(ConfigError, match="set data.shuffle to files, or pack the images again"):
        HICKLE.describe(DataConfig(dir=tmp_path))


def test_too_few_labels_are_named(tmp_path: Path) -> None:
    write_theano_data_set(tmp_path, 2)
    path = tmp_path / "labels/train_labels_1.npy"
    np.save(path, np.load(path)[:-1])
    with pytest.raises(DataError, match=r"train_labels_1.npy has too few labels: 7 are left for the 8 images of"):
        HICKLE.describe(DataConfig(dir=tmp_path, shuffle="files"))


def test_a_negative_label_is_refused(tmp_path: Path) -> None:
    write_theano_data_set(tmp_path, 1)
    path = tmp_path / "labels/train_labels.npy"
    np.save(path, np.load(path) - 1)
    with pytest.raises(DataError, match="labels: train has labels from -1 to 2, but there are 3 classes"):
        HICKLE.describe(DataConfig(dir=tmp_path, shuffle="files"))


def test_another_file_is_refused(tmp_path: Path) -> None:
    write_theano_data_set(tmp_path, 1)
    with h5py.File(tmp_path / "train_hkl_b16_b_16/0001.hkl", "w") as file:
        file["data"] = np.zeros((16, 32, 32, 3), np.uint8)
    with pytest.raises(DataError, match=r"0001.hkl is not a batch file of theano_alexnet"):
        HICKLE.describe(DataConfig(dir=tmp_path, shuffle="files"))


@pytest.mark.parametrize(
    ("parts", "lost", "message"),
    [
        (1, "0001.hkl", "1 of 3 batch files are missing from .*train_hkl_b16_b_16, the first is 0001.hkl, and without"),
        (1, "0000.hkl", "1 of 3 batch files are missing from .*, the first is 0000.hkl"),
        (1, "0002.hkl", "train_labels.npy has 16 labels for which there are no train images; copy the missing batch"),
        (2, "0001_1.hkl", "1 of 6 batch files are missing from .*, the first is 0001_1.hkl"),
        (2, "0002_0.hkl", "1 of 6 batch files are missing from .*, the first is 0002_0.hkl"),
        (2, "*_1.hkl", "3 of 6 batch files are missing from .*, the first is 0000_1.hkl"),
        (2, "0002_*.hkl", "train_labels_0.npy has 8 labels for which there are no train images"),
    ],
)
def test_a_missing_file_is_an_error_as_labels_would_shift(tmp_path: Path, parts: int, lost: str, message: str) -> None:
    write_theano_data_set(tmp_path, parts)
    for path in tmp_path.glob(f"train_hkl_*/{lost}"):
        path.unlink()
    with pytest.raises(DataError, match=message):
        HICKLE.describe(DataConfig(dir=tmp_path, shuffle="files"))


def test_a_file_of_another_name_has_no_place_in_the_order(tmp_path: Path) -> None:
    write_theano_data_set(tmp_path, 1)
    folder = tmp_path / "train_hkl_b16_b_16"
    (folder / "._0001.hkl").write_bytes(b"left by another system")
    assert HICKLE.describe(DataConfig(dir=tmp_path, shuffle="files")).train_counts == (16, 16, 16)
    for name in ("0001 (copy).hkl", "0001_0.hkl", "00001.hkl"):
        (folder / name).write_bytes((folder / "0001.hkl").read_bytes())
        with pytest.raises(DataError, match="is not named like a batch file|is not a part of this|are missing from"):
            HICKLE.describe(DataConfig(dir=tmp_path, shuffle="files"))
        (folder / name).unlink()


def test_a_short_file_may_only_be_the_last(tmp_path: Path) -> None:
    images, labels = write_theano_data_set(tmp_path, 1)
    folder = tmp_path / "train_hkl_b16_b_16"

    def shorten(name: str) -> None:
        with h5py.File(folder / name, "w") as file:
            file["data_0"] = images[:5].transpose(3, 1, 2, 0)

    shorten("0002.hkl")  # theano_alexnet leaves out a last batch that is not full, but not its labels
    of = HICKLE.describe(DataConfig(dir=tmp_path, shuffle="files"))
    assert of.train_counts == (16, 16, 5)
    shorten("0001.hkl")
    (folder / "0002.hkl").unlink()
    shorten("0000.hkl")
    np.save(tmp_path / "labels/train_labels.npy", labels[:10])
    assert HICKLE.describe(DataConfig(dir=tmp_path, shuffle="files")).train_counts == (5, 5)
    with h5py.File(folder / "0001.hkl", "w") as file:
        file["data_0"] = images[:16].transpose(3, 1, 2, 0)
    np.save(tmp_path / "labels/train_labels.npy", labels[:21])
    with pytest.raises(DataError, match=r"0000.hkl holds 5 images, but the file after it 16; copy it again"):
        HICKLE.describe(DataConfig(dir=tmp_path, shuffle="files"))
