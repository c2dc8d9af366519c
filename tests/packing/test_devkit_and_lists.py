import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import scipy.io

from lib.data.packed.layout import layout
from lib.data.packed.manifest import read_manifest
from lib.data.packed.metadata import read_classes
from lib.errors import DataError
from lib.packing.devkit import read_ground_truth, read_synsets
from lib.packing.make_hkl import make_hkl
from lib.packing.make_labels import make_labels
from lib.packing.make_train_val_txt import make_train_val_txt
from lib.packing.settings import Settings
from tests.support.tiny_tree import (
    SHAPES,
    SYNSETS,
    WNIDS,
    contents,
    make_all,
    make_tree,
    settings_for,
    tar_of,
    write_synsets,
)


@pytest.mark.parametrize(("id_field", "name_field"), SHAPES)
@pytest.mark.parametrize("count", [3, 1])
def test_every_form_of_the_list_of_classes_is_read(tmp_path: Path, id_field: str, name_field: str, count: int) -> None:
    assert read_synsets(write_synsets(tmp_path / "m.mat", id_field, name_field, SYNSETS[:count])) == SYNSETS[:count]


def test_other_files_than_the_list_of_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="m.mat is missing; set meta_clsloc_mat"):
        read_synsets(tmp_path / "m.mat")
    (tmp_path / "m.mat").write_bytes(b"something else entirely")
    with pytest.raises(DataError, match=r"m.mat is damaged \(.*; set meta_clsloc_mat to the devkit's list of classes"):
        read_synsets(tmp_path / "m.mat")
    scipy.io.savemat(tmp_path / "m.mat", {"other": 1})
    with pytest.raises(DataError, match=r"m.mat is damaged \(.*; set meta_clsloc_mat to the devkit's list of classes"):
        read_synsets(tmp_path / "m.mat")
    with pytest.raises(DataError, match=r"has the fields \['NUMBER'"):
        read_synsets(write_synsets(tmp_path / "m.mat", "NUMBER", "words"))


def test_the_ground_truth_has_one_number_a_line(tmp_path: Path) -> None:
    path = tmp_path / "truth.txt"
    path.write_text("3\r\n1\n 2 \n\n")
    assert read_ground_truth(path) == [3, 1, 2]
    path.write_bytes(b"3\x1f\n\x1c1\r\n")  # what Python calls white space, but not in a number
    assert read_ground_truth(path) == [3, 1]
    path.write_text("3\nx\n2\n")
    with pytest.raises(DataError, match="line 2: 'x' is not a class number"):
        read_ground_truth(path)
    with pytest.raises(DataError, match="no.txt is missing; set val_label_file"):
        read_ground_truth(tmp_path / "no.txt")


@pytest.fixture
def flat(tmp_path: Path) -> tuple[Settings, list[int]]:
    """Write a tree with a flat folder of validation images, and a devkit with the ground truth in order of names."""
    tree = make_tree(tmp_path / "tree", train=4, val=3)
    flat = tree / "flat"
    flat.mkdir()
    wnids = ["n02", "n01", "n10", "n10", "n01", "n02", "n02", "n01", "n10"]
    count = dict.fromkeys(WNIDS, 0)
    for i, wnid in enumerate(wnids, 1):
        shutil.copy(tree / "val" / wnid / f"{wnid}_{count[wnid]}.JPEG", flat / f"ILSVRC2012_val_{i:08d}.JPEG")
        count[wnid] += 1
    (tmp_path / "truth.txt").write_text("".join(f"{ {'n10': 1, 'n02': 2, 'n01': 3}[w] }\n" for w in wnids))
    settings = settings_for(
        tree,
        tmp_path / "out",
        val_img_dir=flat,
        meta_clsloc_mat=write_synsets(tmp_path / "meta.mat", *SHAPES[0]),
        val_label_file=tmp_path / "truth.txt",
    )
    return settings, [WNIDS.index(wnid) for wnid in wnids]


def changed(settings: Settings, **changes: Any) -> Settings:
    from dataclasses import replace

    return replace(settings, **changes)


def test_flat_validation_images_get_the_labels_of_the_ground_truth(
    flat: tuple[Settings, list[int]], tmp_path: Path
) -> None:
    settings, labels = flat
    at = layout(make_all(settings))
    assert np.load(at.labels("val")).tolist() == labels
    assert at.list_file("val").read_text().splitlines()[0] == f"ILSVRC2012_val_00000001.JPEG {labels[0]}"
    assert [c.name for c in read_classes(at)] == ["tench", "setter", "kit fox, Vulpes macrotis"]

    tar = tar_of(settings.source("val"), tmp_path / "ILSVRC2012_img_val.tar")
    from_tar = make_all(changed(settings, val_img_dir=tar, tar_root_dir=tmp_path / "from_tar"))
    assert contents(from_tar) == contents(tmp_path / "out")


def test_flat_labels_are_correct_with_a_limit_and_a_skipped_image(flat: tuple[Settings, list[int]]) -> None:
    settings, labels = flat
    (settings.source("val") / "ILSVRC2012_val_00000002.JPEG").write_bytes(b"broken")
    at = layout(make_all(changed(settings, val_images=5, max_skipped=0.2)))
    assert np.load(at.labels("val")).tolist() == [labels[0], *labels[2:5]]


def test_a_ground_truth_that_does_not_match_is_found_before_packing(
    flat: tuple[Settings, list[int]], tmp_path: Path
) -> None:
    settings, _ = flat
    truth = tmp_path / "truth.txt"
    good = truth.read_text()
    for text, message in [
        (good[:-2], "has 8 lines, counted from 1, but .*flat has ILSVRC2012_val_00000009.JPEG; name its own list"),
        (good.replace("2", "4", 1), "line 1: .* has no class of number 4"),
    ]:
        truth.write_text(text)
        with pytest.raises(DataError, match=message):
            make_hkl(settings)
    truth.write_text(good)
    shutil.rmtree(settings.source("train") / "n10")
    with pytest.raises(DataError, match=r"line 3: class 1 is n10, which has no folder"):
        make_hkl(settings)
    assert not list((tmp_path / "out").rglob("*.hkl"))


def test_a_part_of_flat_images_has_the_lines_of_its_numbers(flat: tuple[Settings, list[int]]) -> None:
    settings, labels = flat
    for number in (1, 4, 5):
        (settings.source("val") / f"ILSVRC2012_val_{number:08d}.JPEG").unlink()
    assert np.load(layout(make_all(settings)).labels("val")).tolist() == [labels[i] for i in (1, 2, 5, 6, 7, 8)]


def test_names_without_numbers_have_the_lines_of_their_order(flat: tuple[Settings, list[int]], tmp_path: Path) -> None:
    settings, labels = flat
    for path in list(settings.source("val").iterdir()):
        path.rename(path.with_name(f"{path.stem}x.JPEG"))
    assert np.load(layout(make_all(settings)).labels("val")).tolist() == labels
    with (tmp_path / "truth.txt").open("a") as file:
        file.write("1\n")
    with pytest.raises(DataError, match="has 10 lines, but .* has 9 images, not all with a number"):
        make_hkl(settings)


def test_a_list_of_names_and_labels_serves_for_flat_images(flat: tuple[Settings, list[int]], tmp_path: Path) -> None:
    settings, labels = flat
    names = sorted(path.name for path in settings.source("val").iterdir())
    lines = [f"{name} {label}\n" for name, label in zip(names, labels, strict=True)]
    (tmp_path / "val.txt").write_text("".join(lines))
    listed = changed(settings, meta_clsloc_mat=None, val_label_file=tmp_path / "val.txt")
    assert np.load(layout(make_all(listed)).labels("val")).tolist() == labels
    (tmp_path / "val.txt").write_text("".join(lines[1:]))
    with pytest.raises(DataError, match="val.txt names no class for ILSVRC2012_val_00000001.JPEG of"):
        make_hkl(listed)


@pytest.mark.parametrize("where", ["train/words.txt", "synset_words.txt"])
def test_names_are_those_of_words_txt_or_else_the_folders(tmp_path: Path, where: str) -> None:
    tree = make_tree(tmp_path / "tree", train=2, val=1)
    at = layout(make_all(settings_for(tree, tmp_path / "out")))
    assert [c.name for c in read_classes(at)] == list(WNIDS)
    (tree / where).write_text("n02 English setter\nn01\ttench, Tinca tinca\n\nn99 other\n")
    make_train_val_txt(settings_for(tree, tmp_path / "out"))
    assert [c.name for c in read_classes(at)] == ["tench, Tinca tinca", "English setter", "n10"]


def test_each_script_names_the_one_to_run_before_it(tree: Path, tmp_path: Path) -> None:
    settings = settings_for(tree, tmp_path / "out")
    with pytest.raises(DataError, match=r"does not exist|generate_data\.sh"):
        make_train_val_txt(settings)
    make_hkl(settings)
    with pytest.raises(DataError, match="make_train_val_txt"):
        make_labels(settings)


def test_lists_that_do_not_match_the_images_are_refused(tree: Path, tmp_path: Path) -> None:
    settings = settings_for(tree, tmp_path / "out")
    at = layout(make_all(settings))
    lines = at.list_file("train").read_text().splitlines(keepends=True)
    for wrong, message in [
        (lines[:-1], "has 44 lines for 45 packed images"),
        ([lines[1], lines[0], *lines[2:]], "line 1: "),
        ([lines[0].replace("\n", "0\n").replace(" ", " 7"), *lines[1:]], "labels from"),
    ]:
        at.list_file("train").write_text("".join(wrong))
        with pytest.raises(DataError, match=message):
            make_labels(settings)


def test_labels_may_be_made_again(whole: Path, tree: Path) -> None:
    before = contents(whole)
    make_train_val_txt(settings_for(tree, whole))
    make_labels(settings_for(tree, whole))
    assert contents(whole) == before
    assert msgspec.json.decode(before["misc/manifest.json"])["train"]["labels_crc32"] is not None
    assert read_manifest(layout(whole)).val.labels_crc32 is not None
