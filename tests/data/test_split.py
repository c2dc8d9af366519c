"""Images without a validation set are split by their names, and stay on their side."""

from pathlib import Path

import pytest

from lib.data.sources.equal_files import equal_files
from lib.data.sources.labeled_images import LabeledImage
from lib.data.sources.split import draw_sides, split_images
from lib.errors import ConfigError, DataError
from lib.types import Split


def write(root: Path, names: dict[str, str]) -> list[LabeledImage]:
    """Write files with these texts. Return them as images of the class that their folder names."""
    for name, text in names.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return [LabeledImage(name, len(text), name.split("/")[0]) for name, text in sorted(names.items())]


def split(root: Path, images: list[LabeledImage], share: float = 0.2) -> dict[Split, set[str]]:
    found = split_images(root, images, share, root / "misc/split.csv")
    return {side: {image.name for image in of_side} for side, of_side in found.items()}


def many(count: int, label: str = "cat", start: int = 0) -> dict[str, str]:
    return {f"{label}/{i}.jpg": f"{label} {i}" for i in range(start, start + count)}


def test_about_the_share_of_the_images_is_for_validation(tmp_path: Path) -> None:
    images = write(tmp_path, many(500))
    assert 80 <= len(split(tmp_path, images)["val"]) <= 120
    assert 230 <= len(split(tmp_path, images, 0.5)["val"]) <= 270


def test_images_that_are_added_move_none(tmp_path: Path) -> None:
    names = many(2) | many(3, "dog") | many(1, "eel")
    before = split(tmp_path, write(tmp_path, names))
    for count in (3, 4, 8, 30):
        names |= many(count) | many(count, "dog") | many(count, "eel")
        after = split(tmp_path, write(tmp_path, names))
        assert before["train"] <= after["train"]
        assert before["val"] <= after["val"]
        before = after


def test_the_split_of_large_classes_does_not_need_the_record(tmp_path: Path) -> None:
    few = split(tmp_path, write(tmp_path, many(60)))
    (tmp_path / "misc/split.csv").unlink()
    more = split(tmp_path, write(tmp_path, many(90)))
    assert few["val"] <= more["val"]


@pytest.mark.parametrize("share", [0.001, 0.2, 0.999])
def test_each_class_of_two_images_has_one_on_each_side(tmp_path: Path, share: float) -> None:
    names = {f"{label}/{i}.jpg": f"{label} {i}" for label in "abcdefgh" for i in range(2)} | {"z/0.jpg": "alone"}
    found = split(tmp_path, write(tmp_path, names), share)
    for side in ("train", "val"):
        assert {name[0] for name in found[side]} >= set("abcdefgh")
    assert "z/0.jpg" in found["train"]


def test_equal_files_are_on_the_same_side_also_if_one_is_added(tmp_path: Path) -> None:
    names = many(40)
    before = split(tmp_path, write(tmp_path, names))
    copies = {f"cat/copy of {name[4:]}": text for name, text in names.items()}
    after = split(tmp_path, write(tmp_path, names | copies))
    for name in names:
        assert (name in before["val"]) == (name in after["val"]) == (f"cat/copy of {name[4:]}" in after["val"])


def test_equal_files_of_large_size_are_found_and_similar_ones_are_not(tmp_path: Path) -> None:
    tail = "x" * 5000
    images = write(tmp_path, {"a/1": "1" + tail, "a/2": "2" + tail, "a/3": "1" + tail, "a/4": tail + "1"})
    assert [[image.name for image in group] for group in equal_files(tmp_path, images)] == [["a/1", "a/3"]]


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_no_class_is_without_training_images_if_one_is_in_several_classes(tmp_path: Path, share: float) -> None:
    names = {f"{label}/{i}.jpg": str(i) for label in "abcdef" for i in range(ord(label) - ord("a") + 1)}
    assert {name[0] for name in split(tmp_path, write(tmp_path, names), share)["train"]} == set("abcdef")


def test_an_image_in_two_classes_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split(tmp_path, write(tmp_path, many(3) | many(3, "dog") | {"dog/9.jpg": "cat 1"}))
    assert "images in several classes: 1; cat/1.jpg and dog/9.jpg are equal" in capsys.readouterr().out


def test_the_record_decides_and_may_be_edited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = write(tmp_path, many(20))
    val = sorted(split(tmp_path, images)["val"])
    assert "split by data.val_share 0.2: " in capsys.readouterr().out
    record = tmp_path / "misc/split.csv"
    record.write_text(record.read_text().replace(f"{val[0]},val", f"{val[0]},train"))
    assert split(tmp_path, images)["val"] == set(val[1:])
    assert capsys.readouterr().out == ""
    record.write_text(record.read_text().replace("train,", "test,"))
    with pytest.raises(DataError, match=r"split.csv has a line that is not NAME,train or val,SHARE: cat/.*,test,0.2"):
        split(tmp_path, images)


def test_names_written_by_a_mac_have_the_same_side() -> None:
    composed, decomposed = ([LabeledImage(f"{name}/{i}", i, "a") for i in range(9)] for name in ("K\xe4", "Ka\u0308"))
    assert draw_sides(composed, [], 0.5, {}) == draw_sides(decomposed, [], 0.5, {})


def test_what_cannot_be_split_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be split: no class has two different images"):
        split(tmp_path, write(tmp_path, {"a/1.jpg": "same", "a/2.jpg": "same", "b/1.jpg": "other"}))
    images = write(tmp_path, many(4))
    (tmp_path / "misc").write_text("a file")
    with pytest.raises(ConfigError, match=r"split.csv cannot be written: .*--data.misc_dir"):
        split(tmp_path, images)
