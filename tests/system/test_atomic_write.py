"""Files that are there whole or not at all."""

import os
from pathlib import Path

import pytest

from lib.system import atomic_write


def test_a_large_file_tells_of_every_piece_that_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_write, "_PIECE", 1000)
    on_disk, real = [0], os.fsync

    def fsync(descriptor: int) -> None:
        on_disk[0] = os.fstat(descriptor).st_size
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    told = []
    content = os.urandom(3500)
    atomic_write.atomic_write(
        tmp_path / "file",
        lambda file: (file.write(content[:100]), file.write(content[100:])),
        lambda: told.append(on_disk[0]),
    )
    assert (tmp_path / "file").read_bytes() == content
    assert told == [1100, 2100, 3100, 3500]
