"""Tests of writing files atomically."""

import os
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
