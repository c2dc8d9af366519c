"""The CRC-32 of a file is that of its bytes, whatever its size."""

import io
import os
import zlib

import pytest

from lib.system import checksum
from lib.system.checksum import file_crc32


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 1000])
def test_a_file_is_read_in_chunks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksum, "_CHUNK_BYTES", 10)
    content = os.urandom(size)
    file = io.BytesIO(content)
    file.seek(size // 2)  # it is read from its start all the same
    assert file_crc32(file) == zlib.crc32(content)
    for part in (0, size // 3, size, size + 5):
        assert file_crc32(file, part) == zlib.crc32(content[:part])
