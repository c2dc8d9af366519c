import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lib.data.dataset import ClassName
from lib.data.packed.layout import Layout, layout
from lib.data.packed.manifest import BatchFile, Manifest, SplitManifest, read_manifest
from lib.data.packed.metadata import read_classes, read_labels, read_mean
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
def at(tmp_path: Path) -> Layout:
    (tmp_path / "misc").mkdir()
    (tmp_path / "labels").mkdir()
    return layout(tmp_path)


def write_manifest(at: Layout, **changes: object) -> None:
    at.manifest.write_bytes(msgspec.json.encode({**msgspec.to_builtins(MANIFEST), **changes}))


def test_files_are_where_the_format_says() -> None:
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


def test_a_manifest_is_read_as_it_was_written(at: Layout) -> None:
    write_manifest(at)
    assert read_manifest(at) == MANIFEST
    assert (MANIFEST.split("train").count, MANIFEST.split("val").count) == (7, 3)


def test_the_fingerprint_changes_with_the_content() -> None:
    other = msgspec.structs.replace(MANIFEST, seed=2)
    assert MANIFEST.fingerprint == msgspec.structs.replace(other, seed=1).fingerprint != other.fingerprint


def test_missing_and_other_manifests_are_refused(at: Layout, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; make one with"):
        read_manifest(layout(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="holds no complete data set"):
        read_manifest(at)
    at.manifest.write_text("{")
    with pytest.raises(DataError, match="manifest.json is damaged .*; put a copy of it back"):
        read_manifest(at)
    write_manifest(at, colour="red")
    with pytest.raises(DataError, match="colour"):
        read_manifest(at)
    write_manifest(at, format=7)
    with pytest.raises(DataError, match="has format 7"):
        read_manifest(at)


def test_classes_count_up_from_zero(at: Layout) -> None:
    with pytest.raises(DataError, match="is missing"):
        read_classes(at)
    classes = [ClassName(0, "n1", "one"), ClassName(1, "n2", "two")]
    at.classes.write_bytes(msgspec.json.encode(classes))
    assert read_classes(at) == classes
    at.classes.write_bytes(msgspec.json.encode(classes[1:]))
    with pytest.raises(DataError, match="count up from 0"):
        read_classes(at)
    at.classes.write_text("[1]")
    with pytest.raises(DataError, match="classes.json is damaged .*; run preprocessing/make_train"):
        read_classes(at)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1], np.int64), r"holds int64 \(2,\) where the manifest says int64 \(3,\)"),
        (np.array([0, 1, 1], np.int32), "holds int32"),
        (np.array([0, 1, 2]), "labels from 0 to 2, but there are 2 classes, 0 to 1"),
        (np.array([-1, 1, 0]), "labels from -1 to 1"),
    ],
)
def test_labels_that_do_not_match_the_manifest_are_refused(at: Layout, labels: np.ndarray, message: str) -> None:
    np.save(at.labels("val"), labels)
    with pytest.raises(DataError, match=message):
        read_labels(at, MANIFEST, "val")


def test_arrays_that_match_are_read_and_others_are_refused(at: Layout) -> None:
    np.save(at.labels("val"), np.array([0, 1, 1]))
    assert read_labels(at, MANIFEST, "val").tolist() == [0, 1, 1]
    with pytest.raises(DataError, match=r"train_labels\.npy is missing; run preprocessing/make_labels"):
        read_labels(at, MANIFEST, "train")
    with pytest.raises(DataError, match=r"img_mean\.npy is missing; run preprocessing/generate_data"):
        read_mean(at, MANIFEST)
    np.save(at.mean, np.zeros((3, 8, 8), np.float32))
    assert read_mean(at, with_checksums(at)).shape == (3, 8, 8)
    np.save(at.mean, np.zeros((3, 8, 8)))
    with pytest.raises(DataError, match="holds float64"):
        read_mean(at, with_checksums(at))
    at.mean.write_bytes(at.mean.read_bytes()[:100])
    with pytest.raises(DataError, match="is damaged"):
        read_mean(at, with_checksums(at))


def with_checksums(at: Layout) -> Manifest:
    """Return the manifest with the checksums of the existing labels and mean image."""
    val = msgspec.structs.replace(MANIFEST.val, labels_crc32=zlib.crc32(at.labels("val").read_bytes()))
    mean_crc32 = zlib.crc32(at.mean.read_bytes())
    return msgspec.structs.replace(MANIFEST, val=val, mean_crc32=mean_crc32).with_checksum()


def flipped(path: Path) -> Iterator[int]:
    """Write ``path`` once for each of its bytes, with one bit of that byte flipped; at the end as it was."""
    content = path.read_bytes()
    for place, byte in enumerate(content):
        path.write_bytes(content[:place] + bytes([byte ^ 1 << place % 8]) + content[place + 1 :])
        yield place
    path.write_bytes(content)


def test_any_flipped_byte_of_labels_or_mean_is_found(at: Layout) -> None:
    np.save(at.labels("val"), np.array([0, 1, 1]))
    np.save(at.mean, np.zeros((3, 8, 8), np.float32))
    manifest = with_checksums(at)
    for _ in flipped(at.labels("val")):
        with pytest.raises(DataError, match=r"val_labels.npy is damaged .*; delete it and run .*make_labels.py again"):
            read_labels(at, manifest, "val")
    for _ in flipped(at.mean):
        with pytest.raises(DataError, match=r"img_mean.npy is damaged .*; delete it and run .*generate_data.sh again"):
            read_mean(at, manifest)
    assert len(read_labels(at, manifest, "val")) == len(read_mean(at, manifest))


def test_any_flipped_byte_of_the_manifest_is_found_or_harmless(at: Layout) -> None:
    complete = MANIFEST.with_checksum()
    at.manifest.write_bytes(msgspec.json.format(msgspec.json.encode(complete)))
    harmless = 0
    for _ in flipped(at.manifest):
        try:
            assert read_manifest(at) == complete
            harmless += 1  # one whitespace character became another
        except DataError as error:
            assert f"{at.manifest} " in str(error)
            assert "put a copy of it back" in str(error) or "has format" in str(error)
    assert harmless < at.manifest.read_bytes().count(b" ") / 4


def test_a_checksum_does_not_change_the_fingerprint() -> None:
    """Checkpoints of data sets that were packed before manifests had a checksum still match."""
    assert MANIFEST.with_checksum().fingerprint == MANIFEST.fingerprint == "65c316ba318b92c1"


def test_offsets_do_not_change_the_fingerprint() -> None:
    """Checkpoints record the fingerprint, and offsets may be added to a data set later."""
    files = tuple(msgspec.structs.replace(file, offset=100, header_crc32=7) for file in FILES)
    located = MANIFEST.with_files({"train": files, "val": files[1:]})
    assert located.fingerprint == MANIFEST.fingerprint
    assert (MANIFEST.has_offsets, located.has_offsets) == (False, True)
    assert located.with_checksum().crc32 != MANIFEST.with_checksum().crc32
