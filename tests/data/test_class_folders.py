"""Class folders in the layouts that people have, and the kinds of data sets that ``data.source: auto`` recognises."""

import shutil
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from lib.config.schema import DataConfig
from lib.data.dataset import DataSet
from lib.data.inference_metadata import inference_metadata
from lib.data.sources.registry import source_kind, source_name
from lib.errors import DataError
from lib.types import SPLITS
from tests.support.data_files import write_jpeg_folder, write_lmdb, write_mnist, write_unsplit_folder
from tests.support.data_sets import write_data_set


def config(folder: Path, **more: object) -> DataConfig:
    return DataConfig(**({"dir": folder, "img_size": 32, "decoders": 0} | more))  # type: ignore[arg-type]


def described(data: DataConfig) -> DataSet:
    return source_kind(data).describe(data)


def labels(data: DataConfig) -> list[list[int]]:
    of, kind = described(data), source_kind(data)
    sources = [kind.open(data, of, split, lambda text: None) for split in ("train", "val")]
    for source in sources:
        source.close()
    return [source.labels.tolist() for source in sources]


def tiny_imagenet(folder: Path) -> Path:
    write_jpeg_folder(folder)
    for path in list((folder / "train").iterdir()):
        images = [image.rename(image.with_name(f"{path.name}_{image.name}")) for image in path.iterdir()]
        (path / "images").mkdir()
        for image in images:
            image.rename(path / "images" / image.name)
        (path / f"{path.name}_boxes.txt").write_text("n00_0.JPEG\t0\t0\t62\t62\n")
    (folder / "val/images").mkdir()
    lines = []
    for path in sorted((folder / "val").glob("n*/*")):
        path.rename(folder / "val/images" / f"val_{path.name}")
        lines.append(f"val_{path.name}\t{path.parent.name}\t0\t0\t62\t62\n")
        if not list(path.parent.iterdir()):
            path.parent.rmdir()
    (folder / "val/val_annotations.txt").write_text("".join(lines))
    return folder


def only(name: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        folder.mkdir()
        (folder / name).touch()

    return write


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_jpeg_folder, "jpeg_folder"),
        (write_unsplit_folder, "jpeg_folder"),
        (tiny_imagenet, "jpeg_folder"),
        (write_lmdb, "lmdb"),
        (write_mnist, "mnist"),
        (only("data_batch_1.bin"), "cifar10"),
        (only("fine_label_names.txt"), "cifar100"),
        (write_data_set, "hickle"),
        (lambda folder: None, "hickle"),
    ],
    ids=["split", "unsplit", "tiny imagenet", "lmdb", "mnist", "cifar10", "cifar100", "packed", "missing"],
)
def test_auto_recognises(tmp_path: Path, write: Callable[[Path], object], name: str) -> None:
    write(tmp_path / "data")
    assert source_name(config(tmp_path / "data")) == name


def test_what_is_not_recognised_is_shown_the_layouts(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"")
    (tmp_path / "notes").mkdir()
    with pytest.raises(DataError, match=r"holds .*1.jpg.*, which is no data set .* train/CLASS/") as error:
        described(config(tmp_path))
    assert "notes/" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["valid", "validation", "test"])
def test_the_validation_folder_has_several_names(tmp_path: Path, name: str) -> None:
    folder = write_jpeg_folder(tmp_path / "data")
    expected = labels(config(folder))
    (folder / "val").rename(folder / name)
    assert labels(config(folder)) == expected


def test_a_train_folder_alone_is_an_error_that_names_both_ways(tmp_path: Path) -> None:
    folder = write_jpeg_folder(tmp_path / "data")
    shutil.rmtree(folder / "val")
    with pytest.raises(DataError, match="none of val/, valid/, validation/, test/; add one, or name .*data/train"):
        described(config(folder))
    assert described(config(folder / "train")).count("val")


def test_class_folders_without_a_split_are_split_the_same_each_time(tmp_path: Path) -> None:
    folder = write_unsplit_folder(tmp_path / "data")
    first = described(config(folder))
    assert first.count("train") + first.count("val") == 24
    assert [c.wnid for c in first.classes] == ["n00", "n01", "n02", "n03"]
    assert (folder / "misc/split.csv").read_text().count("\n") == 25
    assert described(config(folder)) == first
    assert {*labels(config(folder))[1]} == {0, 1, 2, 3}
    assert described(config(folder, val_share=0.7)).count("val") > first.count("val")


def test_what_a_run_writes_beside_class_folders_is_no_class(tmp_path: Path) -> None:
    folder = write_unsplit_folder(tmp_path / "data")
    first = described(config(folder))
    (folder / "models/report").mkdir(parents=True)
    (folder / "models/metrics.jsonl").touch()
    shutil.copy(next((folder / "n00").iterdir()), folder / "models/confusion.jpg")
    assert described(config(folder)) == first


def test_what_lies_beside_train_does_not_matter(tmp_path: Path) -> None:
    folder = write_jpeg_folder(tmp_path / "data")
    (folder / "latest").symlink_to("lost")
    assert described(config(folder)).count("train") == 24


def test_tiny_imagenet_is_read_as_it_is_unpacked(tmp_path: Path) -> None:
    assert labels(config(tiny_imagenet(tmp_path / "data"))) == [[i // 6 for i in range(24)], [0, 1, 2, 3] * 2]
    assert [c.wnid for c in inference_metadata(tmp_path / "data").classes] == ["n00", "n01", "n02", "n03"]
    annotations = tmp_path / "data/val/val_annotations.txt"
    lines = annotations.read_text()
    before = described(config(tmp_path / "data")).fingerprint
    annotations.write_text(lines.replace("n03", "n00", 1))
    assert described(config(tmp_path / "data" / ".." / "data", misc_dir=tmp_path / "m")).fingerprint != before
    annotations.write_text(lines.partition("\n")[2])
    with pytest.raises(DataError, match="val_annotations.txt names no class for .*val/images/val_000.JPEG"):
        described(config(tmp_path / "data"))


def test_class_names_are_compared_in_one_form_of_unicode(tmp_path: Path) -> None:
    folder = write_jpeg_folder(tmp_path / "data")
    expected = labels(config(folder))
    for split, form in (("train", "NFC"), ("val", "NFD")):
        (folder / split / "n03").rename(folder / split / unicodedata.normalize(form, "n0\xe4"))  # type: ignore[arg-type]
    (folder / "words.txt").write_text(unicodedata.normalize("NFD", "n0\xe4 cheese\n"))
    assert labels(config(folder)) == expected
    assert described(config(folder)).classes[3].wnid == "n0\xe4"
    assert described(config(folder)).classes[3].name == "cheese"


def test_a_single_class_is_an_error_that_says_what_was_found(tmp_path: Path) -> None:
    folder = write_jpeg_folder(tmp_path / "data", n_classes=1)
    with pytest.raises(DataError, match=r"train holds a single class folder, n00 \(24 images\).*; name with"):
        described(config(folder))
    alone = write_unsplit_folder(tmp_path / "alone")
    for name in ("n01", "n02", "n03"):
        shutil.rmtree(alone / name)
    with pytest.raises(DataError, match=r"alone holds a single class folder, n00 \(6 images\)"):
        described(config(alone))


def test_one_folder_for_training_and_validation_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_jpeg_folder(tmp_path / "data")
    shutil.rmtree(folder / "val")
    (folder / "val").symlink_to("train")
    assert described(config(folder)).count("val") == 24
    assert "warning: " in (said := capsys.readouterr().out)
    assert "are the same folder" in said


def test_litter_is_neither_a_class_nor_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_unsplit_folder(tmp_path / "data")
    first = described(config(folder))
    capsys.readouterr()
    (folder / "@eaDir/x.jpg").mkdir(parents=True)
    (folder / "@eaDir/x.jpg/SYNO.jpg").write_bytes(b"x")
    for name in ("__MACOSX/._x.jpg", "n00/._y.jpg", "n00/Thumbs.db", ".DS_Store", "desktop.ini"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    assert described(config(folder)) == first
    assert f"files passed over in {folder}: 4 hidden or of the system" in capsys.readouterr().out


def flat_val(folder: Path, labels: Sequence[object]) -> str:
    """Move the images of val/CLASS/ into val/. Return a list of them in which ``labels`` stand for classes 0, 1, ..."""
    lines = []
    for path in sorted((folder / "val").glob("n*/*")):
        path.rename(folder / "val" / f"{path.parent.name}_{path.name}")
        lines.append(f"{path.parent.name}_{path.name} {labels[int(path.parent.name[1:])]}\n")
    for path in list((folder / "val").glob("n*[0-9]")):
        path.rmdir()
    return "".join(lines)


def test_validation_may_lack_classes_or_hold_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_jpeg_folder(tmp_path / "data")
    train, val = labels(config(folder))
    (folder / "val/n01").rename(folder / "val/n00x")
    (folder / "val/n02b").mkdir()
    assert labels(config(folder)) == [train, [label for label in val if label != 1]]
    out = capsys.readouterr().out
    assert "2 images in" in out
    assert "data/val are left out, because" in out
    assert "lacks their classes: n00x\n" in out
    assert "data/val has no images of 1 of the 4 classes of" in out
    assert len(described(config(folder)).classes) == 4


def test_equal_files_in_both_splits_and_in_two_classes_are_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_jpeg_folder(tmp_path / "data")
    described(config(folder))
    assert "images in training and in validation" in capsys.readouterr().out  # the images of both begin alike
    for number, path in enumerate(sorted((folder / "val").glob("*/*"))):
        path.write_bytes(path.read_bytes() + bytes([number]))
    described(config(folder))
    assert "warning" not in capsys.readouterr().out
    shutil.copy(folder / "train/n00/000.JPEG", folder / "val/n00/copy.JPEG")
    shutil.copy(folder / "train/n00/000.JPEG", folder / "train/n01/other.JPEG")
    described(config(folder))
    out = capsys.readouterr().out
    assert f"images in training and in validation, which therefore tells less: 1; {folder}/train/n00/" in out
    assert "images in several classes: 1;" in out
    described(config(folder))
    assert capsys.readouterr().out == ""


def test_equal_files_are_found_in_a_relative_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jpeg_folder(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    described(config(Path("data")))
    assert "images in training and in validation" in capsys.readouterr().out


@pytest.mark.parametrize("names", [range(4), ["n00", "n01", "n02", "n03"]], ids=["numbers", "names"])
def test_flat_validation_images_have_their_labels_in_a_list(tmp_path: Path, names: Sequence[object]) -> None:
    folder = write_jpeg_folder(tmp_path / "data")
    expected = labels(config(folder))
    (folder / "val.txt").write_text(flat_val(folder, names))
    assert labels(config(folder)) == expected
    (folder / "val.txt").rename(folder / "val/labels.txt")
    assert labels(config(folder)) == expected
    with (folder / "val/labels.txt").open("a") as file:
        file.write("n00_lost.JPEG 0\n")
    assert labels(config(folder)) == expected


def test_lists_name_the_images_of_both_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_jpeg_folder(tmp_path / "images")
    expected = labels(config(folder))
    lists = tmp_path / "lists"
    lists.mkdir()
    for split in ("train", "val"):
        (folder / split).rename(lists / f"{split}_pictures")
        paths = sorted((lists / f"{split}_pictures").glob("n*/*"))
        lines = [f"{path.relative_to(lists)} {8 + int(path.parent.name[1:])}\n" for path in paths]
        (lists / f"{split}.txt").write_text("".join(lines))
    assert source_name(config(lists)) == "jpeg_folder"
    assert labels(config(lists)) == expected
    assert [c.wnid for c in described(config(lists)).classes] == ["08", "09", "10", "11"]
    (lists / "val_pictures/n00").rename(lists / "lost")
    capsys.readouterr()
    assert labels(config(lists))[1] == [label for label in expected[1] if label]
    assert "2 of 8 images in" in capsys.readouterr().out
    (lists / "val.txt").unlink()
    assert described(config(lists)).count("val") in range(4, 12)
    (lists / "train.txt").write_text("lost.jpg 1\n")
    with pytest.raises(DataError, match=r"holds none of the images in .*train.txt, such as lost.jpg"):
        described(config(lists))


def test_the_numbers_of_a_list_are_those_of_synset_words(tmp_path: Path) -> None:
    folder = write_jpeg_folder(tmp_path / "data")
    expected = labels(config(folder))
    (folder / "synset_words.txt").write_text("n03 d\nn02 c\nn01 b\nn00 a\n")
    (folder / "val.txt").write_text(flat_val(folder, [3, 2, 1, 0]))
    assert labels(config(folder)) == expected
    (folder / "synset_words.txt").write_text("n03 d\nn02 c\nn01 b\n")
    with pytest.raises(DataError, match=r"val.txt has labels up to 3, but there are 3 classes, numbered from 0"):
        described(config(folder))


def val_labels(folder: Path, classes: Sequence[str]) -> list[int]:
    """Return the labels that an evaluation of weights with these classes finds in ``folder``."""
    data = config(folder)
    kind = source_kind(data)
    assert kind.describe_val
    of = kind.describe_val(data, classes)
    assert [c.wnid for c in of.classes] == list(classes)
    source = kind.open(data, of, "val", lambda text: None)
    source.read(np.arange(len(source.labels)), np.zeros((len(source.labels), 32, 32, 3), np.uint8))
    source.close()
    found: list[int] = source.labels.tolist()
    return found


def test_a_part_of_a_validation_set_is_enough_for_weights_with_classes(tmp_path: Path) -> None:
    folder, classes = write_jpeg_folder(tmp_path / "data"), ["a", "n00", "n01", "n02", "n03"]
    shutil.rmtree(folder / "val/n02")
    val = [1, 1, 2, 2, 4, 4]
    assert val_labels(folder, classes) == val
    shutil.rmtree(folder / "train")
    assert val_labels(folder, classes) == val
    assert val_labels(folder / "val", classes) == val
    assert val_labels(folder / "val", classes) == val
    (folder / "val.txt").write_text(flat_val(folder, ["n00", "n01", "n02", "n03"]))
    shutil.rmtree(folder / "val/misc")
    for _ in range(2):  # the second time it holds misc/, too
        assert val_labels(folder / "val", classes) == val
        assert val_labels(folder, classes) == val
    with pytest.raises(DataError, match="val has the classes n00, n01, n03, but the network has a: none is the same"):
        val_labels(folder, ["a"])


def test_a_folder_that_was_split_for_a_training_is_evaluated_on_its_validation_side(tmp_path: Path) -> None:
    folder = write_unsplit_folder(tmp_path / "data")
    assert len(val_labels(folder, ["n00", "n01"])) == 12
    described(config(folder))
    assert val_labels(folder, ["n00", "n01", "n02", "n03"]) == labels(config(folder))[1]
    shutil.copytree(write_jpeg_folder(tmp_path / "other") / "train", tmp_path / "x/train")
    val_labels(tmp_path / "x/train", ["n00"])
    shutil.copytree(tmp_path / "other/val", tmp_path / "x/val")
    assert described(config(tmp_path / "x")).n_classes == 4  # what was written into train/ is no class


def test_flat_images_with_a_list_are_split(tmp_path: Path) -> None:
    folder = write_jpeg_folder(tmp_path / "data")
    (folder / "val/labels.txt").write_text(flat_val(folder, range(4)) + "lost.jpg 3\n")
    assert source_name(config(folder / "val")) == "jpeg_folder"
    assert sum(described(config(folder / "val")).count(split) for split in SPLITS) == 8
