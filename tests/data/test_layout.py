from pathlib import Path

import msgspec
import numpy as np
import pytest

from lib.data.layout import (
    BatchFile,
    ClassName,
    Manifest,
    SplitManifest,
    layout,
    read_classes,
    read_labels,
    read_manifest,
    read_mean,
)
from lib.errors import DataError

FILES = tuple(
    BatchFile(name=f"{i:05d}.hkl", count=c, bytes=9, crc32=1, source_start=4 * i, source_stop=4 * i + c)
    for i, c in enumerate((4, 3))
)
MANIFEST = Manifest(
    img_size=8,
    file_batch_size=4,
    resize="squash",
    seed=1,
    n_classes=2,
    source_fingerprint="f",
    mean_crc32=2,
    skipped=0,
    train=SplitManifest(files=FILES),
    val=SplitManifest(files=FILES[1:]),
)


@pytest.fixture
def at(tmp_path):
    (tmp_path / "misc").mkdir()
    (tmp_path / "labels").mkdir()
    return layout(tmp_path)


def write_manifest(at, **changes):
    at.manifest.write_bytes(msgspec.json.encode({**msgspec.to_builtins(MANIFEST), **changes}))


def test_the_names():
    at = layout("/d")
    assert str(at.batch_file("train", 256, 7)) == "/d/train_hkl_b256/00007.hkl"
    assert str(at.labels("val")) == "/d/labels/val_labels.npy"
    assert str(at.mean) == "/d/misc/img_mean.npy"
    assert str(at.list_file("val")) == "/d/misc/val.txt"
    assert str(at.filenames("train")) == "/d/misc/shuffled_train_filenames.npy"
    assert str(at.filenames("val")) == "/d/misc/val_filenames.npy"
    assert str(at.skipped) == "/d/misc/skipped.txt"
    assert layout("/d", "/m").mean == Path("/m/img_mean.npy")
    assert layout("~/d").dir == Path.home() / "d"


def test_a_manifest_comes_back_as_it_was_written(at):
    write_manifest(at)
    assert read_manifest(at) == MANIFEST
    assert (MANIFEST.split("train").count, MANIFEST.split("val").count) == (7, 3)


def test_the_fingerprint_changes_with_the_content():
    other = msgspec.structs.replace(MANIFEST, seed=2)
    assert MANIFEST.fingerprint == msgspec.structs.replace(other, seed=1).fingerprint != other.fingerprint


def test_manifests_that_are_missing_or_foreign(at, tmp_path):
    with pytest.raises(DataError, match="does not exist; make one with"):
        read_manifest(layout(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="holds no complete data set"):
        read_manifest(at)
    at.manifest.write_text("{")
    with pytest.raises(DataError, match="is not a manifest of this program"):
        read_manifest(at)
    write_manifest(at, colour="red")
    with pytest.raises(DataError, match="colour"):
        read_manifest(at)
    write_manifest(at, format=7)
    with pytest.raises(DataError, match="has format 7"):
        read_manifest(at)


def test_classes_count_up_from_zero(at):
    with pytest.raises(DataError, match="is missing"):
        read_classes(at)
    classes = [ClassName(0, "n1", "one"), ClassName(1, "n2", "two")]
    at.classes.write_bytes(msgspec.json.encode(classes))
    assert read_classes(at) == classes
    at.classes.write_bytes(msgspec.json.encode(classes[1:]))
    with pytest.raises(DataError, match="count up from 0"):
        read_classes(at)
    at.classes.write_text("[1]")
    with pytest.raises(DataError, match="is not a list of classes"):
        read_classes(at)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.array([0, 1], np.int64), r"holds int64 \(2,\) where the manifest says int64 \(3,\)"),
        (np.array([0, 1, 1], np.int32), "holds int32"),
        (np.array([0, 1, 2]), "labels from 0 to 2, but there are 2 classes, 0 to 1"),
        (np.array([-1, 1, 0]), "labels from -1 to 1"),
    ],
)
def test_labels_that_do_not_fit_the_manifest(at, labels, said):
    np.save(at.labels("val"), labels)
    with pytest.raises(DataError, match=said):
        read_labels(at, MANIFEST, "val")


def test_arrays_that_fit_are_read_and_damaged_ones_are_not(at):
    np.save(at.labels("val"), np.array([0, 1, 1]))
    assert read_labels(at, MANIFEST, "val").tolist() == [0, 1, 1]
    with pytest.raises(DataError, match=r"train_labels\.npy is missing; run preprocessing/make_labels"):
        read_labels(at, MANIFEST, "train")
    np.save(at.mean, np.zeros((3, 8, 8), np.float32))
    assert read_mean(at, MANIFEST).shape == (3, 8, 8)
    np.save(at.mean, np.zeros((3, 8, 8)))
    with pytest.raises(DataError, match="holds float64"):
        read_mean(at, MANIFEST)
    at.mean.write_bytes(at.mean.read_bytes()[:100])
    with pytest.raises(DataError, match="is damaged"):
        read_mean(at, MANIFEST)
