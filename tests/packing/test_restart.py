import os
import shutil
import signal
from pathlib import Path

import msgspec
import pytest

from lib.data.packed.layout import Layout, layout
from lib.data.packed.manifest import BatchFile, read_manifest
from lib.errors import DataError
from lib.packing.files import lock_folder
from lib.packing.journal import Finished, Journal, Skipped
from lib.packing.make_hkl import make_hkl
from lib.packing.settings import Settings
from tests.support.tiny_tree import (
    contents,
    group_is_gone,
    images,
    kill,
    make_all,
    make_tree,
    settings_for,
    start,
    wait_for,
)


@pytest.fixture(scope="module")
def long_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("long") / "tree", train=200, val=40)


@pytest.fixture(scope="module")
def long_whole(long_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_all(settings_for(long_tree, tmp_path_factory.mktemp("long") / "whole"))


def n_files(out: Path) -> int:
    return sum(1 for _ in out.glob("*_hkl_b8/*.hkl"))


@pytest.mark.parametrize("after", [0, 1, 20, 76])
def test_a_killed_run_that_is_started_again_gives_the_same_bytes(
    long_tree: Path, long_whole: Path, tmp_path: Path, after: int
) -> None:
    settings = settings_for(long_tree, tmp_path / "out", workers=2)
    process = start("make_hkl", settings)
    wait_for(lambda: n_files(tmp_path / "out") >= after or process.poll() is not None)
    kill(process)
    assert not layout(tmp_path / "out").manifest.exists()  # otherwise the kill came too late
    wait_for(lambda: group_is_gone(process.pid), 10)  # the workers end by themselves
    assert contents(make_all(settings)) == contents(long_whole)


def test_finished_files_are_not_made_again(long_tree: Path, tmp_path: Path) -> None:
    settings = settings_for(long_tree, tmp_path / "out", workers=2)
    process = start("make_hkl", settings)
    at = layout(tmp_path / "out")
    wait_for(lambda: at.journal.exists() and at.journal.read_bytes().count(b"\n") >= 3)
    kill(process)
    names = [msgspec.json.decode(line, type=Finished).file.name for line in at.journal.read_bytes().splitlines()[:3]]
    before = {name: (at.batch_dir("train", 8) / name).stat().st_mtime_ns for name in names}
    make_hkl(settings)
    assert {name: (at.batch_dir("train", 8) / name).stat().st_mtime_ns for name in names} == before


def test_ctrl_c_stops_packing_without_a_traceback(long_tree: Path, long_whole: Path, tmp_path: Path) -> None:
    settings = settings_for(long_tree, tmp_path / "out", workers=2)
    process = start("make_hkl", settings)
    wait_for(lambda: n_files(tmp_path / "out") >= 2)
    os.killpg(process.pid, signal.SIGINT)  # to the whole group, as a terminal does
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "it continues" in errors
    assert "Traceback" not in errors
    wait_for(lambda: group_is_gone(process.pid), 5)  # Python's resource tracker ends a moment later
    assert contents(make_all(settings)) == contents(long_whole)


def test_a_killed_worker_ends_packing_with_one_line(long_tree: Path, tmp_path: Path) -> None:
    settings = settings_for(long_tree, tmp_path / "out", workers=2)
    process = start("make_hkl", settings)
    wait_for(lambda: n_files(tmp_path / "out") >= 1)
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:  # noqa: PTH123
        workers = [int(pid) for pid in file.read().split() if b"spawn_main" in _command(int(pid))]
    os.kill(workers[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.count("error: ") == 1
    assert "SIGKILL" in errors
    assert "Traceback" not in errors
    wait_for(lambda: group_is_gone(process.pid), 5)  # Python's resource tracker ends a moment later


def _command(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
        return file.read()


def test_no_shared_memory_is_left(long_tree: Path, tmp_path: Path) -> None:
    before = set(os.listdir("/dev/shm"))  # noqa: PTH208
    process = start("make_hkl", settings_for(long_tree, tmp_path / "out", workers=2))
    wait_for(lambda: n_files(tmp_path / "out") >= 1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    mine = {name for name in set(os.listdir("/dev/shm")) - before if "sem.mp" in name or "psm_" in name}  # noqa: PTH208
    assert not mine


@pytest.mark.parametrize("torn", [b"", b'{"split":"train","fi', b"\0\0\0\0"])
def test_a_torn_journal_and_damaged_or_missing_files_are_repaired(
    tree: Path, whole: Path, packed: Path, tmp_path: Path, torn: bytes
) -> None:
    """After a power cut some files of the journal may be damaged or missing."""
    settings = settings_for(tree, shutil.copytree(packed, tmp_path / "out"))
    at = all_but_the_last(settings)
    at.batch_file("train", 8, 1).unlink()
    damaged = at.batch_file("train", 8, 2)
    damaged.write_bytes(damaged.read_bytes()[:-5] + b"wrong")
    short = at.batch_file("train", 8, 3)
    short.write_bytes(short.read_bytes()[:-5])
    (at.batch_dir("val", 8) / ".00000.hkl.partial").write_bytes(b"x")
    with at.journal.open("ab") as file:
        file.write(torn)
    assert contents(make_all(settings)) == contents(whole)


@pytest.fixture(scope="module")
def packed(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the batch files of ``tree``, without labels and lists. Tests must not change them."""
    out = tmp_path_factory.mktemp("packed") / "out"
    make_hkl(settings_for(tree, out))
    return out


def all_but_the_last(settings: Settings) -> Layout:
    """Keep all batch files but the last, and write the journal of the others."""
    at = layout(settings.tar_root_dir)
    manifest = read_manifest(at)
    entries = [Finished(s, file, ()) for s in ("train", "val") for file in manifest.split(s).files][:-1]
    at.journal.write_bytes(b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries))
    at.batch_file("val", 8, 1).unlink()
    at.manifest.unlink()  # mean and lists stay, as if it was killed just before it wrote the manifest
    return at


def test_a_second_run_changes_nothing_and_reports_that(
    tree: Path, whole: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.hkl")}
    everything = contents(whole)
    make_hkl(settings_for(tree, whole))
    assert "complete already: 45 training and 15 validation images" in capfd.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*.hkl")} == before
    assert contents(whole) == everything


@pytest.mark.parametrize(
    "lost",
    [
        ["train_hkl_b8/00000.hkl", "val_hkl_b8/00001.hkl"],
        ["train_hkl_b8/00005.hkl", "misc/img_mean.npy"],
        ["misc/shuffled_train_filenames.npy", "misc/skipped.txt"],
    ],
)
def test_lost_files_of_a_finished_data_set_are_made_again(tree: Path, whole: Path, tmp_path: Path, lost: str) -> None:
    out = shutil.copytree(whole, tmp_path / "out")
    for name in lost:
        (out / name).unlink()
    make_hkl(settings_for(tree, out))
    assert contents(out) == contents(whole)


def test_a_lost_file_whose_images_have_changed_is_not_replaced(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", train=4, val=2)
    out = make_all(settings_for(tree, tmp_path / "out"))
    path = next((tree / "val" / "n01").iterdir())
    data = bytearray(path.read_bytes())
    data[-40:-20] = bytes(20)  # the same name and size
    path.write_bytes(data)
    (out / "val_hkl_b8" / "00000.hkl").unlink()
    with pytest.raises(DataError, match="cannot be made again as it was"):
        make_hkl(settings_for(tree, out))


def test_two_runs_in_one_folder_are_refused(tree: Path, tmp_path: Path) -> None:
    with (
        lock_folder(tmp_path / "out"),
        pytest.raises(DataError, match="another process is making the data set"),
    ):
        make_hkl(settings_for(tree, tmp_path / "out"))
    make_hkl(settings_for(tree, tmp_path / "out"))
    assert len(images(tmp_path / "out", "train")) == 6


def test_the_journal_continues_after_its_last_complete_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    file = BatchFile(name="00000.hkl", count=1, bytes=2, crc32=3, source_start=0, source_stop=2)
    entries = [Finished("train", file, (Skipped("train", "a", "why"),)), Finished("val", file, ())]
    for entry in entries:
        with Journal(path) as journal:
            journal.add(entry)
        with path.open("ab") as torn:
            torn.write(msgspec.json.encode(entry)[:-7])
    with Journal(path) as journal:
        assert journal.finished == entries
    path.write_bytes(msgspec.json.encode(entries[0]))  # complete except for the end of the line
    with Journal(path) as journal:
        journal.add(entries[1])
    with Journal(path) as journal:
        assert journal.finished == entries[1:]
