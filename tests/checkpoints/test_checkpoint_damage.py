"""A checkpoint is whole or refused, whatever byte is wrong; the last complete one loads, whenever a save is cut off."""

import os
import random
import signal
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.checkpoints import checkpoint as checkpoints
from lib.checkpoints.checkpoint import CheckpointFolder, load
from lib.errors import CheckpointError
from tests.support.checkpoints import checkpoint


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return CheckpointFolder(tmp_path, keep=2).save(checkpoint(), is_best=True)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that torch.load was asked for."""
    seen: list[Path] = []
    real: Callable[..., Any] = torch.load

    def note(path: Path, **options: Any) -> Any:
        seen.append(path)
        return real(path, **options)

    monkeypatch.setattr(torch, "load", note)
    return seen


def test_any_flipped_byte_is_found_before_anything_is_unpacked(saved: Path, read: list[Path]) -> None:
    """torch.load itself takes more than half of these files for whole."""
    content = saved.read_bytes()
    with saved.open("r+b", buffering=0) as file:
        for place, byte in enumerate(content):
            os.pwrite(file.fileno(), bytes([byte ^ 1 << place % 8]), place)
            with pytest.raises(CheckpointError, match=f"{saved} is damaged"):
                load(saved)
            os.pwrite(file.fileno(), bytes([byte]), place)
    assert not read
    load(saved)
    assert read


def test_a_file_cut_short_anywhere_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    for place in sorted({*range(0, len(content), len(content) // 200), *range(len(content) - 40, len(content))}):
        saved.write_bytes(content[:place])
        with pytest.raises(CheckpointError, match=f"{saved} is damaged"):
            load(saved)


def test_a_damaged_checkpoint_comes_with_the_name_of_another(tmp_path: Path, saved: Path) -> None:
    newest = CheckpointFolder(tmp_path, keep=2).save(checkpoint(2), is_best=False)
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=rf"its checksum is wrong\); use another one, such as {saved}$"):
        load(newest)


def test_a_pointer_of_other_bytes_is_an_error_not_a_fresh_start(tmp_path: Path, saved: Path) -> None:
    pointer = tmp_path / "latest"
    pointer.write_bytes(b"\xff" + pointer.read_bytes()[1:])
    with pytest.raises(CheckpointError, match="which is missing"):
        CheckpointFolder(tmp_path, keep=2).latest()


def test_a_sealed_file_is_an_ordinary_zip_that_can_be_mapped(saved: Path) -> None:
    with zipfile.ZipFile(saved) as file:
        assert file.comment.startswith(b"crc32:")
        assert file.testzip() is None
    assert torch.load(saved, weights_only=True, mmap=True)["epoch"] == 1


def test_one_without_a_seal_as_they_used_to_be_still_loads(tmp_path: Path) -> None:
    path = tmp_path / "old.pt"
    torch.save(checkpoints._to_dict(checkpoint(3)), path)
    assert load(path).epoch == 3


def test_a_file_is_on_the_disk_before_it_has_its_name_and_that_before_it_is_pointed_at(
    tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        done.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        done.append(f"rename {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    CheckpointFolder(tmp_path, keep=2).save(checkpoint(2), is_best=False)
    name = "epoch002_iter00000.pt"
    assert done == [
        *(f"fsync .{name}.partial", f"rename {name}", f"fsync {tmp_path.name}"),
        *("fsync .latest.partial", "rename latest", f"fsync {tmp_path.name}"),
    ]


def save_for_ever(folder: Path, first: int) -> None:
    for number in range(first, 100_000):
        CheckpointFolder(folder, keep=1).save(checkpoint(1, number), is_best=number % 3 == 0)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that has threads, which the child needs not
def test_killed_at_200_random_moments_the_last_complete_one_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each child goes on from what the one before it left, as a run that is started again does."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a kill, unlike a power cut, loses nothing that was written
    rng, folder, last, cut_off = random.Random(1), CheckpointFolder(tmp_path, keep=1), 0, 0
    folder.save(checkpoint(1, 0), is_best=True)
    began = time.perf_counter()
    folder.save(checkpoint(1, 0), is_best=True)
    save_s = time.perf_counter() - began
    for _ in range(200):
        child = os.fork()
        if not child:
            try:
                save_for_ever(tmp_path, last + 1)
            finally:
                os._exit(1)
        time.sleep(rng.uniform(0, 6) * save_s)
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        latest, best = folder.latest(), folder.best()
        assert latest and best
        assert load(latest).iteration >= last
        load(best)
        last = load(latest).iteration
        cut_off += bool(list(tmp_path.glob(".*.partial")))
    assert last > 5
    assert cut_off > 5  # the moments were such that many a save was in hand
    (tmp_path / ".epoch000_iter00009.pt.partial").touch()  # of a run that nobody started again at the same place
    folder.save(checkpoint(2, 0), is_best=False)
    assert not list(tmp_path.glob(".*.partial"))
