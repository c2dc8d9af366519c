import mmap
import resource
from pathlib import Path

import numpy as np
import pytest

from lib.system.memory_copy import MemoryCopy


@pytest.mark.parametrize("count", [0, 1, 1024, 3000])
def test_pieces_lie_where_they_were_sent(count: int) -> None:
    rng = np.random.default_rng(count)
    source, target = rng.integers(0, 256, 100_000, np.uint8), np.zeros((count, 50), np.uint8)
    starts, sizes = rng.integers(0, 99_950, count), rng.integers(1, 51, count)
    assert MemoryCopy()(source.ctypes.data + starts, target.ctypes.data + 50 * np.arange(count), sizes)
    for row, start, size in zip(target, starts.tolist(), sizes.tolist(), strict=True):
        assert np.array_equal(row[:size], source[start : start + size])
        assert not row[size:].any()


def test_a_mapped_file_that_has_become_shorter_does_not_come_and_raises_no_signal(tmp_path: Path) -> None:
    path, target = tmp_path / "file", np.zeros(4 * mmap.PAGESIZE, np.uint8)
    path.write_bytes(bytes(range(256)) * (len(target) // 256))
    with path.open("r+b") as file:
        copy = MemoryCopy()
        address = copy.map_file(file.fileno(), len(target))
        pieces = np.array([address]), np.array([target.ctypes.data]), np.array([len(target)])
        assert copy(*pieces)
        assert target.tobytes() == path.read_bytes()
        file.truncate(mmap.PAGESIZE)
        assert not copy(*pieces)
        copy.unmap_file(address, len(target))


def test_what_cannot_be_mapped_has_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MemoryCopy().map_file(-1, 100) == 0
    (tmp_path / "file").write_bytes(b"1")
    with (tmp_path / "file").open("rb") as file:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 36, 1 << 36))
        assert MemoryCopy().map_file(file.fileno(), 1) == 0
