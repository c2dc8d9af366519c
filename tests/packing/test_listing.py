import gzip
import io
import os
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from lib.data.images.listing import ImageList, find_images
from lib.errors import ConfigError, DataError
from lib.packing.listing import list_folder_or_tar, read_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    for name in ("b/2.JPEG", "b/1.jpg", "a/x.PnG", "a/y.webp", "a/z.bmp", "a/w.jpeg"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"bytes of {name}".encode())
    (root / "words.txt").write_text("a first\n")
    (root / "a" / "notes.txt").write_text("no image")
    (root / "a" / ".hidden.jpg").write_text("no image")
    (root / ".cache").mkdir()
    return root


def listed(root: Path) -> ImageList:
    return list_folder_or_tar(root, root.parent / "cache")


NAMES = ["a/w.jpeg", "a/x.PnG", "a/y.webp", "a/z.bmp", "b/1.jpg", "b/2.JPEG"]


def tarred(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_class_folders_give_names_and_labels(folder: Path) -> None:
    found = listed(folder)
    assert [entry.name for entry in found.entries] == NAMES
    assert found.classes == ("a", "b")
    for entry in found.entries:
        assert read_image(folder, entry) == f"bytes of {entry.name}".encode()
        assert entry.bytes == len(f"bytes of {entry.name}")


def test_every_suffix_of_a_known_format_is_taken_and_other_files_are_counted(folder: Path, tmp_path: Path) -> None:
    for name in ("a/u.gif", "a/v.JFIF", "b/3.jpe", "b/4.TIFF", "b/5.ppm"):
        (folder / name).write_bytes(f"bytes of {name}".encode())
    for name in ("a/1.tga", "b/1.TGA", "b/raw", "b/.DS_Store"):
        (folder / name).write_bytes(b"no image")
    for system in ("__MACOSX", "@eaDir"):
        (folder / system / "x.jpg").mkdir(parents=True)
    found = listed(folder)
    assert [entry.name for entry in found.entries] == sorted(
        [*NAMES, "a/u.gif", "a/v.JFIF", "b/3.jpe", "b/4.TIFF", "b/5.ppm"]
    )
    assert found.classes == ("a", "b")
    of_kinds = "5 hidden or of the system, 2 .tga, 2 .txt, 1 without a suffix"
    assert found.passed_over == f"files passed over in {folder}: {of_kinds}"
    assert [path.name for path in find_images(folder)] == [Path(entry.name).name for entry in found.entries]
    path = tmp_path / "all.tar"
    in_tar = listed(tarred(path, {entry.name: b"x" for entry in found.entries} | {"a/1.tga": b"", "words.txt": b""}))
    assert [entry.name for entry in in_tar.entries] == [entry.name for entry in found.entries]
    assert in_tar.passed_over == f"files passed over in {path}: 1 .tga, 1 .txt"


def test_an_image_in_a_deeper_folder_is_not_left_out(folder: Path) -> None:
    (folder / "b/images").mkdir()
    assert [entry.name for entry in listed(folder).entries] == NAMES
    (folder / "b/images/1.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match="b/images/1.jpg is nested too deep; move the images of a class up"):
        listed(folder)


@pytest.mark.parametrize("name", ["n03", "a/0.jpg", "words"])
def test_a_link_to_nowhere_is_an_error(folder: Path, name: str) -> None:
    (folder / name).symlink_to("lost")
    with pytest.raises(DataError, match=f"{name} is a link to nowhere; restore what it points at, or remove it"):
        listed(folder)
    with pytest.raises(DataError, match="is a link to nowhere"):
        find_images(folder)


def test_a_pipe_named_like_an_image_is_an_error(folder: Path) -> None:
    os.mkfifo(folder / "a/pipe")
    assert [entry.name for entry in listed(folder).entries] == NAMES
    os.mkfifo(folder / "a/0.jpg")
    with pytest.raises(DataError, match=r"a/0.jpg is a pipe or a device, not an image; remove it"):
        listed(folder)


def test_symbolic_links_are_followed(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    (folder / "a" / "w.jpeg").rename(tmp_path / "aside")
    (folder / "a" / "w.jpeg").symlink_to(tmp_path / "aside")
    (folder / "b").rename(tmp_path / "b_aside")
    (folder / "b").symlink_to(tmp_path / "b_aside")
    assert [entry.name for entry in listed(link).entries] == NAMES


@pytest.mark.parametrize("prefix", ["", "./"])
def test_a_tar_lists_and_reads_the_same_as_the_folder(folder: Path, tmp_path: Path, prefix: str) -> None:
    of_folder = listed(folder)
    files = {f"{prefix}{name}": (folder / name).read_bytes() for name in reversed(NAMES)}
    path = tarred(tmp_path / "all.tar", {f"{prefix}words.txt": b"x", **files})
    of_tar = listed(path)
    assert [e[:2] for e in of_tar.entries] == [e[:2] for e in of_folder.entries]
    assert of_tar.classes == of_folder.classes
    for entry in of_tar.entries:
        assert read_image(path, entry) == (folder / entry.name).read_bytes()


def test_a_tar_of_tars_with_long_names_is_read(tmp_path: Path) -> None:
    inner = {}
    for wnid in ("n02", "n01"):
        files = {f"{wnid}_{'long' * 40}_{i}.JPEG": f"{wnid} {i}".encode() * i for i in range(1, 4)}
        inner[f"{wnid}.tar"] = tarred(tmp_path / "inner.tar", files).read_bytes()
    path = tarred(tmp_path / "train.tar", inner)
    found = listed(path)
    assert found.classes == ("n01", "n02")
    assert len(found.entries) == 6
    for entry in found.entries:
        i = int(entry.name[-6])
        assert read_image(path, entry) == f"{entry.name[:3]} {i}".encode() * i


def test_flat_images_have_no_classes(folder: Path, tmp_path: Path) -> None:
    assert listed(folder / "b").classes == ()
    path = tarred(tmp_path / "val.tar", {"v_2.JPEG": b"two", "v_1.JPEG": b"one"})
    found = listed(path)
    assert found.classes == ()
    assert [read_image(path, entry) for entry in found.entries] == [b"one", b"two"]


def test_the_index_of_a_tar_is_cached_until_the_tar_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tarred(tmp_path / "val.tar", {"1.JPEG": b"one"})
    first = list_folder_or_tar(path, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(tarfile, "open", None)
        assert list_folder_or_tar(path, tmp_path / "cache") == first
    tarred(path, {"2.JPEG": b"two", "3.JPEG": b"three"})
    os.utime(path, ns=(1, 1))
    assert [entry.name for entry in list_folder_or_tar(path, tmp_path / "cache").entries] == ["2.JPEG", "3.JPEG"]
    for cached in (tmp_path / "cache").iterdir():
        cached.write_bytes(b"damaged")
    assert len(list_folder_or_tar(path, tmp_path / "cache").entries) == 2


def test_the_index_of_a_tar_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, cache = [], tmp_path / "cache"
    path = tarred(tmp_path / "val.tar", {"1.JPEG": b"one"})
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append([file.suffix for file in cache.iterdir()]))
    list_folder_or_tar(path, cache)
    assert synced == [[".partial"], [".msgpack"]]
    with pytest.raises(ConfigError, match=r"val.tar/tar_.*msgpack cannot be written: .*exists; name a writable folder"):
        list_folder_or_tar(path, path)


def test_folders_that_cannot_be_listed_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        listed(tmp_path / "nowhere")
    (folder / "c").mkdir()
    (folder / "c/scan.tga").write_bytes(b"x")
    with pytest.raises(DataError, match="1 class folders hold no image, the first is c"):
        listed(folder)
    (folder / "top.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"both class folders \(a\) and single images \(top.jpg\)"):
        listed(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no image"):
        listed(tmp_path / "empty")
    (tmp_path / "empty/1.tga").write_bytes(b"x")
    with pytest.raises(DataError, match=r"in class folders; files passed over in .*empty: 1 \.tga"):
        listed(tmp_path / "empty")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "two\nlines.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match="cannot be written in a list"):
        listed(tmp_path / "odd")


def test_tars_that_cannot_be_read_in_place_are_refused(tmp_path: Path) -> None:
    good = tarred(tmp_path / "good.tar", {"a/1.JPEG": b"x" * 2000, "b/2.JPEG": b"y" * 2000}).read_bytes()
    bad = tmp_path / "bad.tar"
    damaged = bytearray(good)
    damaged[512 + 2048 : 512 + 2048 + 300] = b"?" * 300  # the second header
    for data, message in [
        (gzip.compress(good), "cannot be read as an uncompressed tar"),
        (b"something else" * 100, "cannot be read as an uncompressed tar"),
        (good[:3000], "truncated"),
        (good[: 512 + 2048], "truncated"),
        (bytes(damaged), "damaged or truncated"),
    ]:
        bad.write_bytes(data)
        with pytest.raises(DataError, match=message):
            listed(bad)


def test_tars_of_other_forms_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is nested too deep"):
        listed(tarred(tmp_path / "deep.tar", {"train/a/1.JPEG": b"x"}))
    with tarfile.open(tmp_path / "twice.tar", "w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("1.JPEG"))
    with pytest.raises(DataError, match="same name twice"):
        listed(tmp_path / "twice.tar")
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        info = tarfile.TarInfo("1.JPEG")
        info.type, info.linkname = tarfile.SYMTYPE, "2.JPEG"
        tar.addfile(info)
    with pytest.raises(DataError, match=r"1.JPEG is a link"):
        listed(tmp_path / "link.tar")
    with tarfile.open(tmp_path / "pipe.tar", "w") as tar:
        for info.name in ("fifo", "1.JPEG"):
            info.type = tarfile.FIFOTYPE
            tar.addfile(info)
    with pytest.raises(DataError, match=r"1.JPEG is a pipe or a device, not an image"):
        listed(tmp_path / "pipe.tar")


def test_a_name_in_a_tar_that_is_no_text_is_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "\udcfe"  # where the tar is may be no text either
    folder.mkdir()
    path = tarred(folder / "train.tar", {"c/\udcff.jpg": b"one", "c/2.jpg": b"two", "\udcff/3.jpg": b"3"})
    for found in (listed(path), listed(path)):  # the second time from the cache
        assert [entry.name for entry in found.entries] == ["\\udcff/3.jpg", "c/2.jpg", "c/\\udcff.jpg"]
        assert read_image(path, found.entries[2]) == b"one"


def test_a_class_without_images_in_a_tar_is_refused(tmp_path: Path) -> None:
    empty = tarfile.TarInfo("n02")
    empty.type = tarfile.DIRTYPE
    inner = tarfile.TarInfo("n02.tar")
    inner.size = len(no_files := tarred(tmp_path / "n02.tar", {}).read_bytes())
    for info, content in ((empty, b""), (inner, no_files), (tarfile.TarInfo("n02/scan.tga"), b"")):
        path = tarred(tmp_path / "train.tar", {"n01/1.JPEG": b"x"})
        with tarfile.open(path, "a") as tar:
            tar.addfile(info, io.BytesIO(content))
        with pytest.raises(DataError, match="1 class folders hold no image, the first is n02"):
            listed(path)


def tar_with(path: Path, **header: Any) -> Path:
    """Write a tar of two images. The header of the first, and an extended one before it, hold what is given."""
    info = tarfile.TarInfo("c/1.jpg")
    for key, value in header.items():
        setattr(info, key, value)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info)
        tar.addfile(tarfile.TarInfo("c/2.jpg"))
    return path


SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "c/1.jpg"}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"pax_headers": {"size": "-512"}}, "a size is negative"),
        ({"pax_headers": {"size": str(10**12)}}, "truncated"),
        ({"pax_headers": {"path": "c/" + "a" * 70_000 + ".jpg"}}, "claims 70,0.. bytes"),
        ({"pax_headers": {"comment": "1" * 60_000}}, "holds a number of more than 255 digits"),
        ({"pax_headers": SPARSE | {"GNU.sparse.realsize": str(10**12)}}, "is damaged|stored without its holes"),
        ({"type": tarfile.GNUTYPE_SPARSE}, "stored without its holes; make the tar without --sparse"),
    ],
    ids=["negative", "huge", "long name", "long number", "sparse", "old sparse"],
)
def test_a_tar_that_would_take_for_ever_or_all_memory_is_refused(
    tmp_path: Path, header: dict[str, Any], message: str
) -> None:
    start = time.monotonic()
    with pytest.raises(DataError, match=message) as error:
        listed(tar_with(tmp_path / "bad.tar", **header))
    assert str(error.value).startswith(f"{tmp_path}/bad.tar")
    assert time.monotonic() - start < 2


def test_an_image_that_has_changed_or_gone_is_not_read(folder: Path) -> None:
    entries = listed(folder).entries
    (folder / entries[0].name).write_bytes(b"other")
    with pytest.raises(DataError, match="has changed since it was listed"):
        read_image(folder, entries[0])
    (folder / entries[1].name).unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_image(folder, entries[1])
