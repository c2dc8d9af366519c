"""A checkpoint with any wrong byte is refused, and an interrupted save leaves the last complete one loadable."""

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

from lib.checkpoints.checkpoint import load, to_dict
from lib.checkpoints.folder import CheckpointFolder
from lib.errors import CheckpointError
from tests.support.checkpoints import checkpoint


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return CheckpointFolder(tmp_path, keep=2).save(checkpoint(), is_best=True)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the list of paths that are passed to torch.load."""
    seen: list[Path] = []
    real: Callable[..., Any] = torch.load

    def note(path: Path, **options: Any) -> Any:
        seen.append(path)
        return real(path, **options)

    monkeypatch.setattr(torch, "load", note)
    return seen


def test_any_flipped_bit_is_found_before_the_file_is_unpickled(saved: Path, read: list[Path]) -> None:
    """torch.load itself accepts more than half of these files."""
    content = saved.read_bytes()
    with saved.open("r+b", buffering=0) as file:
        for offset, byte in enumerate(content):
            os.pwrite(file.fileno(), bytes([byte ^ 1 << offset % 8]), offset)
            with pytest.raises(CheckpointError, match=f"{saved} is damaged"):
                load(saved)
            os.pwrite(file.fileno(), bytes([byte]), offset)
    assert not read
    load(saved)
    assert read


def test_a_file_truncated_anywhere_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    for length in sorted({*range(0, len(content), len(content) // 200), *range(len(content) - 40, len(content))}):
        saved.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=f"{saved} is damaged"):
            load(saved)


def test_the_error_of_a_damaged_checkpoint_names_another_one(tmp_path: Path, saved: Path) -> None:
    newest = CheckpointFolder(tmp_path, keep=2).save(checkpoint(2), is_best=False)
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=rf"its checksum is wrong\); use another one, such as {saved}$"):
        load(newest)


def test_a_damaged_pointer_is_an_error_not_a_new_start(tmp_path: Path, saved: Path) -> None:
    pointer = tmp_path / "latest"
    pointer.write_bytes(b"\xff" + pointer.read_bytes()[1:])
    with pytest.raises(CheckpointError, match="which is missing"):
        CheckpointFolder(tmp_path, keep=2).latest()


def test_a_file_with_checksum_is_an_ordinary_zip_that_can_be_mapped(saved: Path) -> None:
    with zipfile.ZipFile(saved) as file:
        assert file.comment.startswith(b"crc32:")
        assert file.testzip() is None
    assert torch.load(saved, weights_only=True, mmap=True)["epoch"] == 1


def test_a_file_without_checksum_loads(tmp_path: Path) -> None:
    path = tmp_path / "old.pt"
    torch.save(to_dict(checkpoint(3)), path)
    assert load(path).epoch == 3


def test_a_file_is_synced_before_it_is_renamed_and_renamed_before_it_is_pointed_at(
    tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fsync, replace = os.fsync, Path.replace

    def record_fsync(descriptor: int) -> None:
        calls.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def record_replace(self: Path, target: Path) -> Path:
        calls.append(f"rename {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(Path, "replace", record_replace)
    CheckpointFolder(tmp_path, keep=2).save(checkpoint(2), is_best=False)
    name = "epoch002_iter00000.pt"
    assert calls == [
        *(f"fsync .{name}.partial", f"rename {name}", f"fsync {tmp_path.name}"),
        *("fsync .latest.partial", "rename latest", f"fsync {tmp_path.name}"),
    ]


def save_forever(folder: Path, first: int) -> None:
    for number in range(first, 100_000):
        CheckpointFolder(folder, keep=1).save(checkpoint(1, number), is_best=number % 3 == 0)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # the child does not use this process's threads
def test_after_a_kill_at_any_of_200_random_moments_the_last_complete_checkpoint_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each child continues in the folder that the previous one left, as a restarted run does."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # unlike a power failure, a kill loses no written bytes
    rng, folder, last, interrupted = random.Random(1), CheckpointFolder(tmp_path, keep=1), 0, 0
    folder.save(checkpoint(1, 0), is_best=True)
    start = time.perf_counter()
    folder.save(checkpoint(1, 0), is_best=True)
    longest_s = 6 * (time.perf_counter() - start)
    for _ in range(200):
        child = os.fork()
        if not child:
            try:
                save_forever(tmp_path, last + 1)
            finally:
                os._exit(1)
        time.sleep(rng.uniform(0, longest_s))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        latest, best = folder.latest(), folder.best()
        assert latest and best
        assert load(latest).iteration >= last
        load(best)
        longest_s *= 0.9 if load(latest).iteration > last else 1.1  # a busy machine saves more slowly
        last = load(latest).iteration
        interrupted += bool(list(tmp_path.glob(".*.partial")))
    assert last > 5
    assert interrupted > 5  # several kills hit a save
    (tmp_path / ".epoch000_iter00009.pt.partial").touch()  # left by a run that was never restarted
    folder.save(checkpoint(2, 0), is_best=False)
    assert not list(tmp_path.glob(".*.partial"))
