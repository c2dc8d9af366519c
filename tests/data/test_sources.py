"""Every data source: its description of a data set, the images that it reads, and its errors for damaged ones."""

import gzip
import os
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lib.config.schema import DataConfig, SyntheticConfig
from lib.data.cache_choice import Cache
from lib.data.dataset import DataSet, read_mean_image
from lib.data.images.datum import Datum
from lib.data.sources.base import Source
from lib.data.sources.registry import SOURCES, source_kind
from lib.errors import ConfigError, DataError, UnavailableError
from tests.support.data_files import (
    SPLITS,
    WRITERS,
    datum_of,
    images_of,
    write_jpeg_folder,
    write_lmdb,
    write_records,
)


def config(source: str, folder: Path, **more: object) -> DataConfig:
    return DataConfig(**({"source": source, "dir": folder, "img_size": 32, "decoders": 0} | more))  # type: ignore[arg-type]


def described(data: DataConfig) -> DataSet:
    return source_kind(data).describe(data)


def opened(data: DataConfig, split: str = "train", warnings: list[str] | None = None) -> Source:
    warn = (lambda text: None) if warnings is None else warnings.append
    return SOURCES[data.source].open(data, described(data), split, warn)  # type: ignore[arg-type]


def all_rows(source: Source, size: int = 32) -> np.ndarray:
    out = np.zeros((len(source.labels), size, size, 3), np.uint8)
    source.read(np.arange(len(out)), out)
    source.close()
    return out


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_images_and_labels_are_those_written(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / "data")
    size = 28 if name == "mnist" else 32
    data = config(name, tmp_path / "data", img_size=size)
    of = described(data)
    for split in SPLITS:
        source = opened(data, split)
        got = all_rows(source, size)
        images, labels = images_of(of.count(split), 4 if name in ("jpeg_folder", "lmdb") else of.n_classes, size)  # type: ignore[arg-type]
        if name == "jpeg_folder":  # sorted by class
            order = np.argsort(labels, kind="stable")
            images, labels = images[order], labels[order]
        if name == "mnist":
            images = np.repeat(images[..., :1], 3, axis=3)
        assert source.labels.tolist() == labels.tolist()
        if name == "jpeg_folder":
            assert np.abs(got.astype(int) - images).mean() < 4
        else:
            assert np.array_equal(got, images)
        if split == "train":
            expected = got.mean(0).transpose(2, 0, 1)
            assert np.allclose(read_mean_image(of), expected, atol=1e-3)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_images_have_the_configured_size(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / "data")
    small, large = (config(name, tmp_path / "data", img_size=size) for size in (28 if name == "mnist" else 32, 64))
    twice = all_rows(opened(large), 64)
    shrunk = twice[:, ::2, ::2]
    if name != "mnist":
        assert np.abs(shrunk.astype(int) - all_rows(opened(small))).mean() < 6
    assert described(small).fingerprint != described(large).fingerprint
    assert described(large).img_size == 64
    assert read_mean_image(described(large)).shape == (3, 64, 64)


@pytest.mark.parametrize("name", ["jpeg_folder", "lmdb"])
def test_decoder_processes_give_the_pixels_of_the_loader_itself(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / "data")
    alone = all_rows(opened(config(name, tmp_path / "data")))
    assert np.array_equal(all_rows(opened(config(name, tmp_path / "data", decoders=2))), alone)


@pytest.mark.parametrize("decoders", [0, 2])
def test_a_broken_image_is_reported_once_and_replaced_by_one_of_its_class(tmp_path: Path, decoders: int) -> None:
    folder = write_jpeg_folder(tmp_path / "data")
    data = config("jpeg_folder", folder, decoders=decoders)
    whole = all_rows(opened(data))
    for name in ("train/n01/001.JPEG", "train/n01/021.JPEG"):
        path = folder / name
        path.write_bytes(b"\xff\xd8 no image".ljust(path.stat().st_size, b"."))
    warnings: list[str] = []
    source = opened(data, warnings=warnings)
    for _ in range(2):
        out = np.zeros_like(whole)
        source.read(np.arange(24), out)
        # class n01 is 001, 005, ... 021 in places 6 to 11; after the last comes the first one that is not broken
        expected = whole.copy()
        expected[6] = expected[11] = whole[7]
        assert np.array_equal(out, expected)
    source.close()
    assert len(warnings) == 2
    assert "data/train/n01/001.JPEG is skipped: it is none of JPEG" in warnings[0]
    assert warnings[1].endswith("n01/005.JPEG replaces it")


@pytest.mark.parametrize("decoders", [0, 2])
def test_an_image_whose_disk_is_away_is_not_broken(tmp_path: Path, decoders: int) -> None:
    """It is not replaced: the substitute would stay for the rest of the run."""
    folder = write_jpeg_folder(tmp_path / "data")
    warnings: list[str] = []
    source = opened(config("jpeg_folder", folder, decoders=decoders), warnings=warnings)
    out = np.zeros((24, 32, 32, 3), np.uint8)
    source.read(np.arange(24), out)
    whole, path = out.copy(), folder / "train/n01/009.JPEG"
    for away in (folder / "train", path):
        away.rename(tmp_path / "away")
        with pytest.raises(UnavailableError, match=r"JPEG cannot be read: No such file or directory; check its disk"):
            source.read(np.arange(24), out)
        (tmp_path / "away").rename(away)
    path.rename(tmp_path / "away")
    path.mkdir()  # another error
    with pytest.raises(UnavailableError, match=f"{path} cannot be read: Is a directory"):
        source.read(np.arange(24), out)
    path.rmdir()
    (tmp_path / "away").rename(path)
    source.read(np.arange(24), out)
    source.close()
    assert np.array_equal(out, whole)
    assert warnings == []


def test_a_missing_database_is_not_a_broken_image(tmp_path: Path) -> None:
    folder = write_lmdb(tmp_path / "data") / "ilsvrc12_train_lmdb"
    source, out = opened(config("lmdb", tmp_path / "data")), np.zeros((24, 32, 32, 3), np.uint8)
    folder.rename(tmp_path / "away")
    with pytest.raises(UnavailableError, match="ilsvrc12_train_lmdb/data.mdb is missing; copy it again, or make"):
        source.read(np.arange(24), out)
    write_records(folder, [])
    with pytest.raises(UnavailableError, match="record 00000000_n00/x.JPEG is missing; put the database back, or make"):
        source.read(np.arange(24), out)
    shutil.rmtree(folder)
    (tmp_path / "away").rename(folder)
    source.read(np.arange(24), out)
    source.close()
    assert np.array_equal(out, all_rows(opened(config("lmdb", tmp_path / "data"))))


def test_binary_keys_are_reported_in_one_line(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "data")
    shutil.rmtree(tmp_path / "data/ilsvrc12_val_lmdb")
    images, labels = images_of(2)
    records = [datum_of(image, int(label)) for image, label in zip(images, labels, strict=True)]
    records[1] = datum_of(np.empty(0), 1, b"no image")
    keys = [b"\xff\x00a\n", b"\xff\x00b\n"]
    write_records(tmp_path / "data/val", records, keys)
    warnings: list[str] = []
    source = opened(config("lmdb", tmp_path / "data"), "val", warnings)
    with pytest.raises(DataError, match=r"no image of class 1 can be decoded, e\.g\. \\xff\\x00b\\n: it is none of"):
        source.read(np.arange(2), np.zeros((2, 32, 32, 3), np.uint8))
    source.close()


def test_a_class_without_a_readable_image_is_an_error(tmp_path: Path) -> None:
    folder = write_jpeg_folder(tmp_path / "data")
    data = config("jpeg_folder", folder)
    source = opened(data)
    for path in (folder / "train/n02").iterdir():
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(DataError, match=r"no image of class 2 can be decoded, e.g. train/n02/002.JPEG"):
        source.read(np.arange(24), np.zeros((24, 32, 32, 3), np.uint8))


def test_the_mean_is_computed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = config("jpeg_folder", write_jpeg_folder(tmp_path / "data"))
    first = described(data)
    assert "computing the mean image" in capsys.readouterr().out
    assert described(data) == first
    assert capsys.readouterr().out == ""
    (data.dir / "train/n00/000.JPEG").write_bytes((data.dir / "val/n01/001.JPEG").read_bytes() + b" ")
    assert described(data).fingerprint != first.fingerprint
    assert "computing the mean image" in capsys.readouterr().out


def test_images_replaced_by_others_of_the_same_size_have_another_mean(tmp_path: Path) -> None:
    data = config("jpeg_folder", write_jpeg_folder(tmp_path / "data", train=8))
    first = described(data)
    for path in (data.dir / "train").rglob("*.JPEG"):
        content = path.read_bytes()
        path.write_bytes((data.dir / "val/n01/001.JPEG").read_bytes()[: len(content)].ljust(len(content), b"\0"))
        os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))
    second = described(data)
    assert second.fingerprint == first.fingerprint  # a copy of the data set has other times, but is the same
    assert not np.array_equal(read_mean_image(second), read_mean_image(first))


def test_a_class_may_be_spelled_in_two_ways(tmp_path: Path) -> None:
    folder = write_jpeg_folder(tmp_path / "data")
    for split, form in (("train", "NFC"), ("val", "NFD")):
        (folder / split / "n02").rename(folder / split / unicodedata.normalize(form, "käse"))  # type: ignore[arg-type]
    data = config("jpeg_folder", folder)
    assert [c.wnid for c in described(data).classes] == ["käse", "n00", "n01", "n03"]
    source = opened(data, "val")
    assert source.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert all_rows(source).any()


def test_a_single_class_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train holds a single class folder, n00"):
        described(config("jpeg_folder", write_jpeg_folder(tmp_path / "data", n_classes=1)))


def test_classes_without_a_training_image_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "val"):
        images, labels = images_of(8)
        records = [datum_of(image, int(label) * 3 + 1) for image, label in zip(images, labels, strict=True)]
        write_records(tmp_path / f"ilsvrc12_{split}_lmdb", records)
    assert described(config("lmdb", tmp_path)).n_classes == 11
    assert "train_lmdb: 7 of 11 classes are without a training image, the first is 0;" in capsys.readouterr().out
    write_lmdb(tmp_path / "whole")
    described(config("lmdb", tmp_path / "whole"))
    assert "without a training image" not in capsys.readouterr().out


def test_a_label_beyond_any_data_set_is_refused(tmp_path: Path) -> None:
    write_lmdb(tmp_path)
    write_records(tmp_path / "ilsvrc12_train_lmdb", [datum_of(images_of(1)[0][0], 2**31 - 1)])
    with pytest.raises(DataError, match="has labels up to 2,147,483,647, so 2,147,483,648 classes; number them 0, 1"):
        described(config("lmdb", tmp_path))


WORDS = "".join(f"n{i:02d} beast {i}, Bestia {i}\n" for i in range(5))


@pytest.mark.parametrize(
    ("name", "file", "text", "expected"),
    [
        ("jpeg_folder", "synset_words.txt", WORDS, [(f"n{i:02d}", f"beast {i}, Bestia {i}") for i in range(4)]),
        (
            "jpeg_folder",
            "words.txt",
            "n09 fish\nn02 bird\n",
            [("n00",) * 2, ("n01",) * 2, ("n02", "bird"), ("n03",) * 2],
        ),
        ("lmdb", "misc/synset_words.txt", WORDS, [(f"n{i:02d}", f"beast {i}, Bestia {i}") for i in range(4)]),
        (
            "lmdb",
            "words.txt",
            WORDS,
            [(f"{i}", f"class {i}") for i in range(4)],
        ),  # its lines are not in the order of the classes
        (
            "lmdb",
            "misc/classes.json",
            '[{"index": 0, "wnid": "a", "name": "A"}, {"index": 1, "wnid": "b", "name": "B"}, '
            '{"index": 2, "wnid": "c", "name": "C"}, {"index": 3, "wnid": "d", "name": "D"}]',
            [(x, x.upper()) for x in "abcd"],
        ),
    ],
    ids=["folders", "some folders", "numbers", "no order", "ours"],
)
def test_readable_class_names_are_found(
    tmp_path: Path, name: str, file: str, text: str, expected: list[tuple[str, str]]
) -> None:
    WRITERS[name](tmp_path / "data")
    path = tmp_path / "data" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert [(c.wnid, c.name) for c in described(config(name, tmp_path / "data")).classes] == expected


def too_few_names(data: Path) -> None:
    (data / "synset_words.txt").write_text("n00 beast\n")


def test_encoded_records_equal_image_files(tmp_path: Path) -> None:
    folder = write_jpeg_folder(tmp_path / "jpeg")
    names = sorted((folder / "train").rglob("*.JPEG"))
    write_records(
        tmp_path / "data/train", [datum_of(np.empty(0), i % 4, name.read_bytes()) for i, name in enumerate(names)]
    )
    write_lmdb(tmp_path / "other")
    shutil.move(tmp_path / "other/ilsvrc12_val_lmdb", tmp_path / "data/val")
    got = all_rows(opened(config("lmdb", tmp_path / "data")))
    assert np.array_equal(got, all_rows(opened(config("jpeg_folder", folder))))


def test_synthetic_needs_no_files() -> None:
    data = DataConfig(
        source="synthetic", dir=Path("/nowhere"), img_size=16, synthetic=SyntheticConfig(train=300, val=7, classes=5)
    )
    of = described(data)
    assert (of.count("train"), of.count("val"), of.n_classes) == (300, 7, 5)
    source = opened(data)
    rows = all_rows(source, 16)
    assert len({row.tobytes() for row in rows}) == 256
    assert set(source.labels.tolist()) == set(range(5))
    assert np.array_equal(all_rows(opened(data), 16), rows)
    assert (read_mean_image(of) == 127.5).all()


@pytest.mark.parametrize(
    ("source", "cache", "named", "unnamed"),
    [
        ("hickle", "none", {"data.readers (now 7)", "data.slots (now 9)", "faster disk"}, {"decoders"}),
        ("hickle", "memory", {"data.readers (now 7)", "within memory"}, {"decoders", "slots", "disk"}),
        ("jpeg_folder", "none", {"data.decoders (now 3)", "--data.misc_dir", "hickle"}, {"readers", "slots"}),
        ("lmdb", "none", {"data.decoders (now 3)", "--data.misc_dir", "hickle"}, {"readers", "slots"}),
        ("lmdb", "disk", {"data.readers (now 7)", "data.cache to memory", "faster disk"}, {"decoders", "hickle"}),
        ("jpeg_folder", "memory", {"data.readers (now 7)", "within memory"}, {"decoders", "hickle", "disk"}),
        ("mnist", "none", {"data.readers (now 7)", "data.img_size (now 32)"}, {"decoders", "disk"}),
        ("synthetic", "none", {"memory"}, {"data.", "disk"}),
    ],
)
def test_speed_advice_names_the_settings_that_matter_for_the_source(
    tmp_path: Path, source: str, cache: Cache, named: set[str], unnamed: set[str]
) -> None:
    data = replace(config(source, tmp_path, readers=7, slots=9, decoders=3), cache="auto")
    advice = SOURCES[source].speed_advice(data, cache).replace(str(tmp_path), "")
    assert all(words in advice for words in named)
    assert not any(words in advice for words in unnamed)


def test_packing_is_advised_only_where_no_cache_helps(tmp_path: Path) -> None:
    advice = SOURCES["jpeg_folder"].speed_advice(replace(config("jpeg_folder", tmp_path), cache="none"), "none")
    assert "data.cache to auto" in advice
    assert "hickle" not in advice


def test_an_unknown_source_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match="data.source is jpg_folder; did you mean jpeg_folder\\? known sources: auto, hickle"
    ):
        source_kind(DataConfig(source="jpg_folder"))


def unclass_val(data: Path) -> None:
    for path in (data / "val").glob("*/*"):
        path.rename(data / "val" / path.name)
    for path in (data / "val").iterdir():
        if path.is_dir():
            path.rmdir()


def empty_a_class(data: Path) -> None:
    (data / "train/n09").mkdir()


def rename_the_val_classes(data: Path) -> None:
    for path in list((data / "val").iterdir()):
        path.rename(path.with_name(f"m{path.name}"))


def a_record_that_is_no_datum(data: Path) -> None:
    shutil.rmtree(data / "ilsvrc12_train_lmdb")
    write_records(data / "ilsvrc12_train_lmdb", [datum_of(*[x[0] for x in images_of(1)]), b"\xff\xff\xff"])


def a_record_without_an_image(data: Path) -> None:
    shutil.rmtree(data / "ilsvrc12_val_lmdb")
    write_records(data / "ilsvrc12_val_lmdb", [datum_of(np.zeros((4, 4, 3), np.uint8), 0)[:-30]])


def end_a_key_in_zero(data: Path) -> None:
    shutil.rmtree(data / "ilsvrc12_val_lmdb")
    write_records(data / "ilsvrc12_val_lmdb", [datum_of(np.zeros((4, 4, 3), np.uint8), 0)], [b"\xff\0"])


def cut_a_database(data: Path) -> None:
    path = data / "ilsvrc12_train_lmdb/data.mdb"
    os.truncate(path, path.stat().st_size - 4096)


def lose_a_database(data: Path) -> None:
    shutil.rmtree(data / "ilsvrc12_val_lmdb")


def damage_a_database(data: Path) -> None:
    (data / "ilsvrc12_val_lmdb/data.mdb").write_bytes(b"no database" * 1000)


def damage_its_pages(data: Path) -> None:
    """Damage all pages but the first two, which locate the others."""
    path = data / "ilsvrc12_val_lmdb/data.mdb"
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[4096 * page + 10] = 0  # the type of the page
    path.write_bytes(content)


def turn_a_record_round(data: Path) -> None:
    """Write a record with two negative sides, whose product matches the number of bytes."""
    shutil.rmtree(data / "ilsvrc12_val_lmdb")
    write_records(
        data / "ilsvrc12_val_lmdb", [Datum(channels=3, height=-2, width=-2, data=b"x" * 12).SerializeToString()]
    )


def lose_a_batch(data: Path) -> None:
    (data / "data_batch_3.bin").unlink()


def cut_a_batch(data: Path) -> None:
    path = data / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])


def cut_the_images(data: Path) -> None:
    path = data / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])


def claim_much(data: Path) -> None:
    path = data / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(np.array([0x803, 20, 1 << 16, 1 << 16], ">u4").tobytes()))


def append_an_image(data: Path) -> None:
    path = data / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(28 * 28)))


def swap_images_and_labels(data: Path) -> None:
    (data / "t10k-labels-idx1-ubyte").rename(data / "t10k-images-idx3-ubyte")


def lose_train(data: Path) -> None:
    shutil.rmtree(data / "train")


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("jpeg_folder", unclass_val, "data/val holds images but no class folders; sort them"),
        ("jpeg_folder", empty_a_class, "1 class folders hold no image, the first is n09"),
        ("jpeg_folder", rename_the_val_classes, "data/val has the classes mn00, .* has n00, .*: none is the same"),
        (
            "jpeg_folder",
            lose_train,
            "data holds no folder train/; its images must be in train/CLASS/ and val/CLASS/",
        ),
        ("jpeg_folder", shutil.rmtree, "data folder .*data does not exist; name one that holds train/ and val/"),
        ("lmdb", a_record_that_is_no_datum, "record 00000001_n01/x.JPEG: it is not a Datum; make the database again"),
        ("lmdb", a_record_without_an_image, "record 00000000_n00/x.JPEG: it is not a Datum"),
        ("lmdb", end_a_key_in_zero, r"record \\xff\\x00: its key ends in a zero byte.*; make the database again"),
        ("lmdb", cut_a_database, r"train_lmdb/data.mdb is truncated: it has [\d,]+ of [\d,]+ bytes; copy it again"),
        ("lmdb", lose_a_database, "holds 0 folders \\*val\\* with a data.mdb, where one should be"),
        ("lmdb", too_few_names, "data has labels up to 3, but its list of names has 1 classes"),
        ("lmdb", damage_a_database, "ilsvrc12_val_lmdb/data.mdb is damaged"),
        ("lmdb", damage_its_pages, "ilsvrc12_val_lmdb/data.mdb is damaged .*; copy it again, or make"),
        ("lmdb", turn_a_record_round, "12 bytes for a shape of \\(3, -2, -2\\)"),
        ("cifar10", lose_a_batch, "data_batch_3.bin is missing; name the folder that holds the unpacked binary files"),
        ("cifar10", cut_a_batch, "has 12,291 bytes, not a multiple of 3073: it is not a file of CIFAR-10"),
        ("mnist", cut_the_images, "train-images-idx3-ubyte.gz is damaged .*; download it again"),
        (
            "mnist",
            claim_much,
            r"train-images-idx3-ubyte should hold \(20, 65536, 65536\) bytes, beyond the limits of 1,073",
        ),
        ("mnist", append_an_image, r"train-images-idx3-ubyte should hold \(20, 28, 28\) bytes, but has more; download"),
        ("mnist", swap_images_and_labels, "t10k-images-idx3-ubyte is not an IDX file of bytes with 3 axes"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_data_set_is_refused_with_the_reason(
    tmp_path: Path, name: str, damage: Callable[[Path], None], says: str
) -> None:
    WRITERS[name](tmp_path / "data")
    damage(tmp_path / "data")
    with pytest.raises(DataError, match=says) as error:
        described(config(name, tmp_path / "data"))
    assert "\n" not in str(error.value)
