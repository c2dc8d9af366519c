"""Tests of writing files atomically."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.system import atomic_write


def test_progress_is_reported_for_every_piece_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_write, "_SYNC_BYTES", 1000)
    on_disk, real = [0], os.fsync

    def fsync(descriptor: int) -> None:
        on_disk[0] = os.fstat(descriptor).st_size
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    sizes = []
    content = os.urandom(3500)
    atomic_write.atomic_write(
        tmp_path / "file",
        lambda file: (file.write(content[:100]), file.write(content[100:])),
        lambda: sizes.append(on_disk[0]),
    )
    assert (tmp_path / "file").read_bytes() == content
    assert sizes == [1100, 2100, 3100, 3500]


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let fsync of a folder fail, but not that of a file."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_file_system_that_cannot_sync_folders_can_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, errno.EINVAL)
    atomic_write.make_folder(tmp_path / "new")
    atomic_write.atomic_write(tmp_path / "new/file", lambda file: file.write(b"content"))
    assert (tmp_path / "new/file").read_bytes() == b"content"
    refuse(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        atomic_write.atomic_write(tmp_path / "new/file", lambda file: file.write(b"other"))


@pytest.mark.parametrize(
    "write", [atomic_write.replace_file, lambda path, b: atomic_write.atomic_write(path, lambda f: f.write(b))]
)
def test_a_rename_is_tried_again_while_the_file_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, bytes], None]
) -> None:
    real, failures = os.replace, [errno.EBUSY, errno.EBUSY]

    def replace(*paths: Path) -> None:
        if failures:
            raise OSError(failures[0], os.strerror(failures.pop()))
        real(*paths)

    monkeypatch.setattr(atomic_write, "_BUSY_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(os, "replace", replace)
    write(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    failures[:] = [errno.EBUSY] * 3
    with pytest.raises(OSError, match="busy"):
        write(tmp_path / "file", b"other")
    failures[:] = [errno.EACCES]
    with pytest.raises(PermissionError):
        write(tmp_path / "file", b"other")
    assert (tmp_path / "file").read_bytes() == b"content"
