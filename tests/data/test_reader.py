import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
import pytest

from lib.data.packed import reader
from lib.data.packed.batch_file import open_batch_file, verify_batch_file
from lib.data.packed.checks import check_data
from lib.data.packed.layout import Layout, layout
from lib.data.packed.manifest import BatchFile, read_manifest
from lib.data.packed.reader import HickleBatches
from lib.errors import DataError
from lib.system.memory_copy import MemoryCopy


@pytest.fixture
def at(data_set: Path) -> Layout:
    return layout(data_set)


def opened(at: Layout) -> Iterator[HickleBatches]:
    source = HickleBatches(at, read_manifest(at), "train", readers=3)
    yield source
    source.close()


@pytest.fixture
def unmapped(at: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[HickleBatches]:
    """Open a source whose files cannot be mapped, as where there are too many."""

    monkeypatch.setattr(MemoryCopy, "map_file", lambda *_: 0)
    yield from opened(at)


@pytest.fixture(params=["mapped", "forbidden", "unmapped"])
def source(at: Layout, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[HickleBatches]:
    """Open a source that copies from mapped files, one where a sandbox forbids that, or one that maps none."""
    if request.param == "unmapped":
        yield request.getfixturevalue("unmapped")
        return
    if request.param == "forbidden":
        monkeypatch.setattr(MemoryCopy, "__call__", lambda *_: False)
    yield from opened(at)


def all_images(at: Layout) -> np.ndarray:
    files = sorted(at.batch_dir("train", 16).iterdir())
    return np.concatenate([h5py.File(path)["data"][:] for path in files])


@pytest.mark.parametrize(
    "indices", [[0], [47, 0, 16, 15], list(range(48)), list(range(10, 40)), [5, 5, 6, 7], []], ids=str
)
def test_rows_are_what_h5py_reads(at: Layout, source: HickleBatches, indices: list[int]) -> None:
    out = np.zeros((len(indices), 32, 32, 3), np.uint8)
    source.read(np.array(indices, np.int64), out)
    assert np.array_equal(out, all_images(at)[indices])


@pytest.mark.parametrize("indices", [[0], [47, 0, 16, 15], list(range(10, 40)), []], ids=str)
def test_only_the_wanted_rows_of_each_image_are_read(
    at: Layout, unmapped: HickleBatches, indices: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, n_bytes = os.preadv, []

    def preadv(descriptor: int, buffers: Sequence[memoryview], position: int) -> int:
        n_bytes.append(len(buffers[0]))
        return real(descriptor, buffers, position)

    monkeypatch.setattr(os, "preadv", preadv)
    out, tops = np.zeros((len(indices), 5, 32, 3), np.uint8), [7 * i % 28 for i in range(len(indices))]
    unmapped.begin_read(np.array(indices, np.int64), out, tops)()
    wanted = [all_images(at)[index, top : top + 5] for index, top in zip(indices, tops, strict=True)]
    assert all(np.array_equal(a, b) for a, b in zip(out, wanted, strict=True))
    assert n_bytes == [5 * 32 * 3] * len(indices)


def test_mapped_files_are_copied_in_one_call_and_a_disk_is_read(at: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def noted(call: str, does: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: object) -> Any:
            calls.append(call)
            return does(*arguments)

        return noting

    monkeypatch.setattr(MemoryCopy, "__call__", noted("copy", MemoryCopy.__call__))
    monkeypatch.setattr(os, "preadv", noted("read", os.preadv))
    with contextlib.contextmanager(opened)(at) as source:
        for from_disk, expected in ((0, ["copy"]), (1, ["read"] * 4), (0, ["copy"])):
            source._from_disk = from_disk
            out = np.zeros((4, 32, 32, 3), np.uint8)
            source.read(np.array([3, 40, 20, 1]), out)
            assert np.array_equal(out, all_images(at)[[3, 40, 20, 1]])
            assert calls == expected
            calls.clear()


def test_random_rows_again_and_again_with_few_open_files(
    at: Layout, source: HickleBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_max_open", 1)
    rng, images = np.random.default_rng(1), all_images(at)
    out = np.zeros((9, 32, 32, 3), np.uint8)
    for _ in range(20):
        indices = rng.integers(0, 48, 9)
        source.read(indices, out)
        assert np.array_equal(out, images[indices])
        assert len(source._open) == len(set(indices // 16))  # only those of the batch


def test_the_number_of_readers_may_change_between_batches(at: Layout, source: HickleBatches) -> None:
    images, outs = all_images(at), [np.zeros((48, 32, 32, 3), np.uint8) for _ in range(5)]
    waits = []
    for out, count in zip(outs, (1, 5, 5, 2, 3), strict=True):
        source.resize(count)
        waits.append(source.begin_read(np.arange(48), out))
    for wait, out in zip(waits, outs, strict=True):
        wait()
        assert np.array_equal(out, images)


@pytest.mark.timeout(30)
def test_a_read_begins_while_earlier_ones_go_on(
    at: Layout, unmapped: HickleBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, go_on = os.preadv, threading.Event()

    def preadv(descriptor: int, buffers: Sequence[memoryview], position: int) -> int:
        go_on.wait()
        return real(descriptor, buffers, position)

    monkeypatch.setattr(os, "preadv", preadv)
    outs = [np.zeros((48, 32, 32, 3), np.uint8) for _ in range(8)]
    waits = [unmapped.begin_read(np.arange(48), out) for out in outs]
    assert not any(out.any() for out in outs)
    go_on.set()
    for wait, out in zip(waits, outs, strict=True):
        wait()
        assert np.array_equal(out, all_images(at))


def test_a_short_read_is_continued(at: Layout, unmapped: HickleBatches, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.preadv
    monkeypatch.setattr(
        os, "preadv", lambda fd, buffers, at: real(fd, [buffers[0][: max(1, len(buffers[0]) // 3)]], at)
    )
    out = np.zeros((4, 32, 32, 3), np.uint8)
    unmapped.read(np.arange(14, 18), out)
    assert np.array_equal(out, all_images(at)[14:18])


def test_a_file_that_shrinks_during_training_is_named(at: Layout, source: HickleBatches) -> None:
    path = at.batch_file("train", 16, 1)
    out = np.zeros((1, 32, 32, 3), np.uint8)
    source.read(np.array([16]), out)  # it is open now
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(DataError, match=f"{path} ends early"):
        source.read(np.array([31]), out)


def first_file(at: Layout) -> tuple[Path, BatchFile]:
    return at.batch_file("train", 16, 0), read_manifest(at).train.files[0]


def test_a_file_of_another_size_is_refused(at: Layout) -> None:
    path, file = first_file(at)
    os.truncate(path, file.bytes - 1)
    says = rf"00000.hkl has {file.bytes - 1:,} bytes where the manifest says {file.bytes:,}; delete it and run"
    with pytest.raises(DataError, match=says):
        open_batch_file(path, file)


def test_a_flipped_byte_before_the_pixels_is_found_when_the_file_is_opened(at: Layout) -> None:
    path, file = first_file(at)
    content = path.read_bytes()
    for place in (0, file.offset // 2, file.offset - 1):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DataError, match=r"00000.hkl is damaged \(its header is not the one that was packed\)"):
            open_batch_file(path, file)
    path.write_bytes(content)
    os.close(open_batch_file(path, file))


@pytest.mark.parametrize("kind", ["text", "dtype"])
def test_another_file_of_the_same_size_is_refused(at: Layout, kind: str) -> None:
    path, file = first_file(at)
    if kind == "text":
        path.write_text("this is not an HDF5 file".ljust(file.bytes))
    else:
        with h5py.File(path, "w") as other:
            other["data"] = np.zeros((16, 32, 32, 3), np.int8)
        path.write_bytes(path.read_bytes()[: file.bytes].ljust(file.bytes, b"\0"))
    with pytest.raises(DataError, match="is damaged"):
        open_batch_file(path, file)


def test_a_missing_file_is_named(at: Layout, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"00007.hkl is missing"):
        open_batch_file(tmp_path / "00007.hkl", first_file(at)[1])
    os.mkfifo(tmp_path / "00007.hkl")
    for check in (open_batch_file, verify_batch_file):
        with pytest.raises(DataError, match=r"00007.hkl has 0 bytes where the manifest says"):
            check(tmp_path / "00007.hkl", first_file(at)[1])


@pytest.mark.parametrize("offset", [-1, 10**6, 2**62])
def test_an_offset_beyond_the_file_is_refused_before_anything_is_read(at: Layout, offset: int) -> None:
    manifest = read_manifest(at)
    first, *rest = manifest.train.files
    files = (msgspec.structs.replace(first, offset=offset), *rest)
    with pytest.raises(DataError, match=r"manifest.json is wrong: the images of 00000.hkl would be bytes"):
        check_data(at, manifest.with_files({"train": files, "val": manifest.val.files}))


def test_a_file_that_was_put_back_is_opened_again(at: Layout, source: HickleBatches) -> None:
    """After an error a file is opened again, as its name may refer to another file now."""
    path = at.batch_file("train", 16, 1)
    content, out = path.read_bytes(), np.zeros((16, 32, 32, 3), np.uint8)
    source.read(np.array([16]), out)  # it is open now
    with path.open("rb+") as file:
        file.truncate(3000)
    with pytest.raises(DataError, match="ends early"):
        source.read(np.arange(16, 32), out)
    path.unlink()
    path.write_bytes(content)
    source.read(np.arange(16, 32), out)
    assert np.array_equal(out, all_images(at)[16:32])


def test_a_read_error_names_the_file_and_the_fix(
    at: Layout, unmapped: HickleBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was read before; once the disk is back, its rows can be read again."""
    real, out = os.preadv, np.zeros((4, 32, 32, 3), np.uint8)
    unmapped.read(np.arange(14, 18), out)
    broken = unmapped._open[1]

    def preadv(descriptor: int, buffers: Sequence[memoryview], position: int) -> int:
        if descriptor == broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, buffers, position)

    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", preadv)
        with pytest.raises(
            DataError,
            match=r"train_hkl_b16/00001.hkl cannot be read: Input/output error; check its disk, or delete it and run "
            "preprocessing/generate_data.sh again$",
        ):
            unmapped.read(np.arange(14, 18), out)
    unmapped.read(np.arange(14, 18), out)
    assert np.array_equal(out, all_images(at)[14:18])


def test_every_file_is_verified_once_before_its_first_row(at: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    verified = []
    monkeypatch.setattr(reader, "verify_batch_file", lambda path, file: verified.append((path.name, file.name)))
    source, out = (
        HickleBatches(at, read_manifest(at), "train", readers=2, verify=True),
        np.zeros((2, 32, 32, 3), np.uint8),
    )
    for indices in ([0, 1], [2, 17], [40, 3]):
        source.read(np.array(indices), out)
    source.close()
    assert verified == [(name, name) for name in ("00000.hkl", "00001.hkl", "00002.hkl")]


def test_too_few_descriptors_are_not_reported_as_a_damaged_file(
    at: Layout, source: HickleBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", none_left)
    with pytest.raises(
        DataError, match=r"00000.hkl cannot be opened: Too many open files; raise the limit: ulimit -n$"
    ):
        source.read(np.array([0]), np.zeros((1, 32, 32, 3), np.uint8))
