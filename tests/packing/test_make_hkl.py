import zlib
from collections.abc import Sequence
from pathlib import Path

import hickle
import numpy as np
import pytest

from lib.data.images.decode import decode
from lib.data.packed.layout import layout
from lib.data.packed.manifest import read_manifest
from lib.data.packed.metadata import read_classes, read_labels, read_mean
from lib.errors import DataError
from lib.packing.make_hkl import make_hkl
from lib.packing.sources import shuffled
from lib.types import Split
from tests.support.tiny_tree import (
    SIZE,
    WNIDS,
    contents,
    images,
    jpeg,
    make_all,
    make_tree,
    settings_for,
    tar_of,
    tar_of_tars,
)


def decoded(tree: Path, split: Split, names: Sequence[str]) -> np.ndarray:
    return np.stack([decode((tree / split / name).read_bytes(), SIZE, "squash") for name in names])


@pytest.mark.parametrize(("split", "counts"), [("train", [8, 8, 8, 8, 8, 5]), ("val", [8, 7])])
def test_each_image_is_packed_once_in_the_order_of_the_names(
    tree: Path, whole: Path, split: Split, counts: list[int]
) -> None:
    files = images(whole, split)
    assert [len(file) for file in files] == counts
    names = np.load(layout(whole).filenames(split)).tolist()
    present = {str(path.relative_to(tree / split)) for path in (tree / split).rglob("*.JPEG")}
    assert sorted(names) == sorted(present)
    assert np.array_equal(np.concatenate(files), decoded(tree, split, names))


def test_training_images_are_shuffled_by_the_seed_and_validation_is_sorted(whole: Path) -> None:
    at = layout(whole)
    train, val = (np.load(at.filenames(split)).tolist() for split in ("train", "val"))
    assert train == [sorted(train)[i] for i in shuffled(len(train), seed=1)]
    assert train != sorted(train)
    assert val == sorted(val)


def test_the_shuffle_never_changes() -> None:
    assert shuffled(8, seed=1).tolist() == [3, 5, 2, 7, 0, 6, 1, 4]
    assert sorted(shuffled(1000, 7).tolist()) == list(range(1000))


def test_labels_match_the_images(whole: Path) -> None:
    at = layout(whole)
    manifest = read_manifest(at)
    for split in ("train", "val"):
        labels = read_labels(at, manifest, split)
        names = np.load(at.filenames(split)).tolist()
        assert [WNIDS[label] for label in labels] == [name.split("/")[0] for name in names]
        assert at.list_file(split).read_text().splitlines() == [
            f"{name} {label}" for name, label in zip(names, labels, strict=True)
        ]
        assert manifest.split(split).labels_crc32 == zlib.crc32(at.labels(split).read_bytes())


def test_the_mean_is_that_of_all_training_images(whole: Path) -> None:
    at = layout(whole)
    every = np.concatenate(images(whole, "train"))
    expected = every.astype(np.int64).sum(0) / len(every)
    mean = read_mean(at, read_manifest(at))
    assert mean.dtype == np.float32
    assert np.array_equal(mean, expected.astype(np.float32).transpose(2, 0, 1))


def test_the_manifest_describes_the_files(whole: Path) -> None:
    at = layout(whole)
    manifest = read_manifest(at)
    assert (manifest.train.count, manifest.val.count, manifest.n_classes, manifest.skipped) == (45, 15, 3, 0)
    assert [c.wnid for c in read_classes(at)] == list(WNIDS)
    assert manifest.mean_crc32 == zlib.crc32(at.mean.read_bytes())
    for split in ("train", "val"):
        stop = 0
        for number, file in enumerate(manifest.split(split).files):
            data = at.batch_file(split, 8, number).read_bytes()
            assert (file.bytes, file.crc32) == (len(data), zlib.crc32(data))
            assert file.source_start == stop
            stop = file.source_stop
        assert stop == manifest.split(split).count


def test_no_temporary_files_are_left(whole: Path) -> None:
    assert not at_work(whole)


def at_work(out: Path) -> list[str]:
    return [name for name in contents(out) if "partial" in name or "progress" in name]


def test_the_number_of_workers_makes_no_difference(tree: Path, whole: Path, tmp_path: Path) -> None:
    for workers in (1, 4):
        out = make_all(settings_for(tree, tmp_path / str(workers), workers=workers))
        assert contents(out) == contents(whole)


def test_tar_files_give_the_same_bytes_as_folders(tree: Path, whole: Path, tmp_path: Path) -> None:
    nested = tar_of_tars(tree / "train", tmp_path / "train.tar")
    val = tar_of(tree / "val", tmp_path / "val.tar")
    out = make_all(settings_for(tree, tmp_path / "out", train_img_dir=nested, val_img_dir=val))
    assert contents(out) == contents(whole)


def test_limits_take_the_first_of_the_lists(tree: Path, whole: Path, tmp_path: Path) -> None:
    out = make_all(settings_for(tree, tmp_path / "out", train_images=10, val_images=3))
    counts: dict[Split, int] = {"train": 10, "val": 3}
    for split, count in counts.items():
        assert np.array_equal(np.concatenate(images(out, split)), np.concatenate(images(whole, split))[:count])
        assert np.load(layout(out).labels(split)).tolist() == np.load(layout(whole).labels(split)).tolist()[:count]
    assert read_manifest(layout(out)).n_classes == 3


def test_crop_and_misc_dir_are_used(tree: Path, tmp_path: Path) -> None:
    settings = settings_for(tree, tmp_path / "out", resize="crop", misc_dir=tmp_path / "elsewhere")
    make_all(settings)
    names = np.load(tmp_path / "elsewhere" / "val_filenames.npy").tolist()
    expected = [decode((tree / "val" / name).read_bytes(), SIZE, "crop") for name in names]
    assert np.array_equal(np.concatenate(images(tmp_path / "out", "val")), np.stack(expected))


@pytest.fixture
def broken_tree(tmp_path: Path) -> tuple[Path, list[str], list[str]]:
    """Write a tree with four broken images of 45: two in a row, and one at either end of the shuffled list."""
    tree = make_tree(tmp_path / "tree")
    names = sorted(str(path.relative_to(tree / "train")) for path in (tree / "train").rglob("*.JPEG"))
    in_order = [names[i] for i in shuffled(45, seed=1)]
    broken = [in_order[0], in_order[11], in_order[12], in_order[44]]
    for i, name in enumerate(broken):
        path = tree / "train" / name
        path.write_bytes([path.read_bytes()[:300], b"", b"no image", b"\x89PNG\r\n\x1a\n"][i])
    return tree, in_order, broken


def test_broken_images_are_named_and_skipped_everywhere(
    broken_tree: tuple[Path, list[str], list[str]], tmp_path: Path
) -> None:
    tree, in_order, broken = broken_tree
    out = make_all(settings_for(tree, tmp_path / "out", max_skipped=0.1))
    at = layout(out)
    good = [name for name in in_order if name not in broken]
    lines = [line.split("\t") for line in at.skipped.read_text().splitlines()]
    assert [(split, name) for split, name, _ in lines] == [("train", name) for name in broken]
    assert "truncated" in lines[0][2].lower()
    assert lines[1][2] == "it is empty"
    assert "none of JPEG" in lines[2][2]
    assert np.load(at.filenames("train")).tolist() == good
    files = images(out, "train")
    assert [len(file) for file in files] == [8, 8, 8, 8, 8, 1]
    assert np.array_equal(np.concatenate(files), decoded(tree, "train", good))
    assert np.load(at.labels("train")).tolist() == [WNIDS.index(name.split("/")[0]) for name in good]
    manifest = read_manifest(at)
    assert manifest.skipped == 4
    assert manifest.train.files[-1].source_stop == 45

    before = contents(out)
    for number in (0, 1, 5):  # those with skipped images
        at.batch_file("train", 8, number).unlink()
    make_hkl(settings_for(tree, out, max_skipped=0.1))
    assert contents(out) == before
    with pytest.raises(DataError, match="1 of 45 train"):
        make_hkl(settings_for(tree, tmp_path / "strict", max_skipped=0.1, strict=True))


def test_too_many_broken_images_are_an_error_until_they_are_allowed(
    broken_tree: tuple[Path, list[str], list[str]], tmp_path: Path
) -> None:
    tree, _, broken = broken_tree
    settings = settings_for(tree, tmp_path / "out", max_skipped=3 / 45)
    with pytest.raises(DataError, match=rf"4 of 45 train images .*{broken[3]}.*--max_skipped"):
        make_hkl(settings)
    allowed = settings_for(tree, tmp_path / "out", max_skipped=0.1)
    assert contents(make_all(allowed)) == contents(make_all(settings_for(tree, tmp_path / "b", max_skipped=0.1)))


def test_there_is_no_empty_file_if_all_images_after_a_full_one_are_broken(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", train=6, val=3)
    for name in ("n10_1", "n10_2"):
        (tree / "val" / "n10" / f"{name}.JPEG").write_bytes(b"")
    out = make_all(settings_for(tree, tmp_path / "out", file_batch_size=7, max_skipped=0.5))
    assert [len(file) for file in images(out, "val", 7)] == [7]
    assert len(layout(out).skipped.read_text().splitlines()) == 2
    before = contents(out)
    make_hkl(settings_for(tree, out, file_batch_size=7, max_skipped=0.5))
    assert contents(out) == before


def test_a_split_of_broken_images_only_is_an_error(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", train=2, val=1)
    for path in (tree / "val").rglob("*.JPEG"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="none of the val images"):
        make_hkl(settings_for(tree, tmp_path / "out", max_skipped=1.0))


def test_hickle_loads_the_files(whole: Path) -> None:
    array = hickle.load(layout(whole).batch_file("train", 8, 0))
    assert array.dtype == np.uint8
    assert array.shape == (8, SIZE, SIZE, 3)
    assert len(jpeg(0)) > 300  # so that truncating one to 300 bytes breaks it
