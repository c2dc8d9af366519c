import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lib.data.images.listing import ImageFile
from lib.data.packed.layout import layout
from lib.errors import ConfigError, DataError
from lib.packing.journal import Skipped
from lib.packing.make_hkl import make_hkl
from lib.packing.settings import Settings
from lib.packing.skipping import SkipLimit
from lib.packing.sources import SourceList, Sources
from lib.packing.space import amount, bytes_needed, check_space
from tests.support.tiny_tree import contents, jpeg, make_all, make_tree, settings_for

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"img_size": 16}, "img_size was 32, is now 16"),
        ({"resize": "crop"}, "resize was squash, is now crop"),
        ({"seed": 2}, "seed was 1, is now 2"),
        ({"file_batch_size": 16}, "file_batch_size was 8, is now 16"),
        ({"train_images": 40}, "the list of train images (45, now 40) differs, first in n"),
    ],
)
def test_other_settings_are_not_mixed_in(tree: Path, whole: Path, changes: dict[str, object], message: str) -> None:
    before = contents(whole)
    with pytest.raises(DataError) as error:
        make_hkl(settings_for(tree, whole, **changes))
    assert message in str(error.value)
    assert "--tar_root_dir" in str(error.value)
    assert contents(whole) == before


def test_workers_max_skipped_and_the_folder_of_the_images_may_change(tree: Path, whole: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(tree, moved)
    before = contents(whole)
    make_hkl(settings_for(moved, whole, workers=1, max_skipped=0.5, strict=True))
    assert contents(whole) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: (t / "train/n02/n02_3.JPEG").unlink(), "train images (45, now 44) differs, first in n02/n02_3"),
        (lambda t: (t / "val/n01/n01_2.JPEG").write_bytes(jpeg(9)), "val images (15) differs, first in n01/n01_2"),
        (
            lambda t: (t / "train/n02/n02_3.JPEG").rename(t / "train/n02/a.JPEG"),
            "train images (45) differs, first in n02/a.JPEG",
        ),
        (lambda t: shutil.copytree(t / "train/n01", t / "train/n00"), "classes were 3, are now 4 (see n00)"),
    ],
)
def test_other_images_are_not_mixed_in(
    tree: Path, whole: Path, tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    changed = tmp_path / "tree"
    shutil.copytree(tree, changed)
    change(changed)
    with pytest.raises(DataError) as error:
        make_hkl(settings_for(changed, whole))
    assert message in str(error.value)


def test_batch_files_of_unknown_origin_are_not_overwritten(tree: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    with pytest.raises(DataError, match="which describes them, is missing"):
        make_hkl(settings_for(tree, out, misc_dir="other"))


def test_a_full_disk_is_found_before_packing(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12, 100_000))
    with pytest.raises(DataError, match=r"needs 250 kB, 100 kB free in .*--tar_root_dir"):
        make_hkl(settings_for(tree, tmp_path / "out"))
    assert not list((tmp_path / "out").rglob("*.hkl"))


def test_imagenet_needs_262_gb(tmp_path: Path) -> None:
    assert amount(bytes_needed(1_281_167 + 50_000, 256, 256)) == "262 GB"
    assert amount(1.23e12) == "1.23 TB"
    assert check_space(tmp_path, 0).startswith("needs 0 bytes, ")


def test_packing_stops_if_an_image_changes(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", train=3, val=1)
    lost = tree / "train" / "n01" / "n01_1.JPEG"
    lost.unlink()
    lost.symlink_to(tmp_path / "elsewhere.JPEG")
    (tmp_path / "elsewhere.JPEG").write_bytes(jpeg(5))
    settings = settings_for(tree, tmp_path / "out")
    from lib.packing import make_hkl as module
    from lib.packing.sources import find_sources

    def find_and_lose(settings: Settings) -> Sources:
        found = find_sources(settings)
        (tmp_path / "elsewhere.JPEG").write_bytes(b"shorter")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "find_sources", find_and_lose)
        with pytest.raises(DataError, match=r"n01_1\.JPEG has changed since it was listed"):
            make_hkl(settings)


def test_training_images_need_class_folders(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no class folders"):
        make_hkl(settings_for(tree, tmp_path / "out", train_img_dir=tree / "train" / "n01"))


def test_validation_classes_are_matched_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = make_tree(tmp_path / "tree", train=2, val=1)
    (tree / "val" / "n01").rename(tree / "val" / "n77")
    at = layout(make_all(settings_for(tree, tmp_path / "out")))
    assert np.load(at.labels("val")).tolist() == [1, 2]
    out = capsys.readouterr().out
    assert "1 images in" in out
    assert "lacks their classes: n77" in out
    for wnid in ("n02", "n10"):
        (tree / "val" / wnid).rename(tree / "val" / f"x{wnid}")
    with pytest.raises(DataError, match="tree/val has the classes n77, xn02, xn10, but .*: none is the same"):
        make_hkl(settings_for(tree, tmp_path / "none"))


def test_flat_validation_images_need_their_ground_truth(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="set val_label_file"):
        make_hkl(settings_for(tree, tmp_path / "out", val_img_dir=tree / "val" / "n01"))


def test_missing_paths_are_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="train_img_dir is not set"):
        make_hkl(Settings(tar_root_dir=tmp_path / "out"))
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        make_hkl(settings_for(tree, tmp_path / "out", val_img_dir=tmp_path / "nowhere"))


def test_the_toy_data_set_does_not_overwrite_another_one(tree: Path, tmp_path: Path) -> None:
    out = make_all(settings_for(tree, tmp_path / "out"))
    before = contents(out)
    with pytest.raises(DataError, match="must not overwrite"):
        make_hkl(Settings(tar_root_dir=out, toy=True))
    with pytest.raises(DataError, match="of other settings or images"):
        make_hkl(settings_for(tree, out, toy=True, train_images=10))
    assert contents(out) == before


def test_a_damaged_list_of_skipped_images_is_found(tree: Path, tmp_path: Path) -> None:
    out = make_all(settings_for(tree, tmp_path / "out"))
    layout(out).skipped.write_text("train\tn01/x.JPEG\twhy\n")
    with pytest.raises(DataError, match="names 1 images, but 0 were skipped"):
        make_hkl(settings_for(tree, out))


def test_the_limit_counts_each_image_once(tmp_path: Path) -> None:
    image = ImageFile("a", 1, None)
    source = SourceList("val", tmp_path, [image] * 1000)
    one, other = Skipped("val", "a", "r"), Skipped("val", "b", "because")
    limit = SkipLimit(source, 0.001, [one])
    limit.add(one)
    with pytest.raises(DataError, match=r"2 of 1000 val .*max_skipped allows 0.1000%; the last: b: because"):
        limit.add(other)
    with pytest.raises(DataError, match="1 of 1000"):
        SkipLimit(source, 0.0, [one])
