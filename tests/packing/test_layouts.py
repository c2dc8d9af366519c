"""One folder in any layout that training recognises is packed with the split that a training has."""

import shutil
import unicodedata
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lib.config.schema import DataConfig
from lib.data.packed.layout import layout
from lib.data.packed.metadata import read_classes
from lib.data.sources.registry import source_kind
from lib.errors import ConfigError, DataError
from lib.packing.make_hkl import make_hkl
from lib.packing.settings import Settings
from lib.packing.sources import find_sources, record_sources
from tests.support.data_files import write_mnist
from tests.support.tiny_tree import contents, make_all, make_tree, settings_for


def settings_of(folder: Path, out: Path) -> Settings:
    return settings_for(folder, out, train_img_dir=None, val_img_dir=None, img_dir=folder)


def unsplit(folder: Path) -> Path:
    tree = make_tree(folder.with_name("tree"), train=8, val=1)
    shutil.copytree(tree / "train", folder)
    return folder


def packed_val(out: Path) -> list[str]:
    names: list[str] = np.load(layout(out).filenames("val")).tolist()
    return names


def test_train_and_val_in_one_folder_are_the_sources_of_two(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", train=3, val=2)
    one, two = find_sources(settings_of(tree, tmp_path / "one")), find_sources(settings_for(tree, tmp_path / "two"))
    assert (one.recipe, one.listing()) == (two.recipe, two.listing())
    assert one.fingerprint == two.fingerprint


def test_class_folders_are_split_as_a_training_splits_them(tmp_path: Path) -> None:
    folder = unsplit(tmp_path / "photos")
    out = make_all(settings_of(folder, tmp_path / "out"))
    assert not (folder / "misc").exists()
    assert {name[:3] for name in packed_val(out)} == {"n01", "n02", "n10"}
    assert [name[:3] for name in packed_val(out)] == [
        read_classes(layout(out))[label].wnid for label in np.load(layout(out).labels("val"))
    ]
    data = DataConfig(dir=folder, img_size=32, decoders=0)
    assert source_kind(data).describe(data).count("val") == len(packed_val(out))
    record = folder / "misc/split.csv"
    assert record.read_bytes() == (out / "misc/split.csv").read_bytes()
    moved = packed_val(out)[0]
    record.write_text(record.read_text().replace(f"{moved},val", f"{moved},train"))
    with pytest.raises(DataError, match="the list of train images .* differs"):
        make_hkl(settings_of(folder, out))
    found = find_sources(settings_of(folder, tmp_path / "moved"))
    assert [entry.name for entry in found.val.entries] == packed_val(out)[1:]


def test_equal_files_are_named_when_images_are_first_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = make_tree(tmp_path / "tree", train=2, val=1)
    shutil.copy(tree / "train/n01/n01_0.JPEG", tree / "val/n01/copy.JPEG")
    for _ in range(2):
        record_sources(layout(tmp_path / "out"), find_sources(settings_for(tree, tmp_path / "out")))
    assert capsys.readouterr().out.count("images in training and in validation, which therefore tells less: 1;") == 1


def test_what_training_reads_as_it_is_is_not_packed(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist")
    with pytest.raises(ConfigError, match="mnist is a data set that train.py reads as it is: --data.dir .*mnist"):
        make_hkl(settings_of(tmp_path / "mnist", tmp_path / "out"))
    with pytest.raises(DataError, match="img_dir .*/no is no folder"):
        make_hkl(settings_of(tmp_path / "no", tmp_path / "out"))
    with pytest.raises(ConfigError, match="img_dir is for all images, so train_img_dir and val_img_dir may not be set"):
        settings_for(tmp_path, tmp_path / "out", img_dir=tmp_path)


def test_a_data_set_that_an_older_version_made_is_still_complete(tmp_path: Path) -> None:
    """They recorded class names as they were spelled, and passed GIFs over."""
    tree, name = make_tree(tmp_path / "tree", train=2, val=1), unicodedata.normalize("NFD", "n0\xe4")
    for split in ("train", "val"):
        (tree / split / "n02").rename(tree / split / name)
    out = make_all(settings_for(tree, tmp_path / "out"))
    before, recipe = contents(out), layout(out).recipe
    older = msgspec.json.decode(recipe.read_bytes())
    older["classes"] = [unicodedata.normalize("NFD", wnid) for wnid in older["classes"]]
    recipe.write_bytes(msgspec.json.encode(older))
    shutil.copy(tree / "train/n01/n01_0.JPEG", tree / "train/n01/n01_0.gif")
    make_all(settings_for(tree, out))
    changed = {name for name, data in contents(out).items() if data != before[name]}
    assert changed == {"misc/classes.json", str(recipe.relative_to(out))}
