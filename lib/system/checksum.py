"""The CRC-32 of a file."""

import zlib
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20


def file_crc32(file: BinaryIO, size: int | None = None) -> int:
    """Return the CRC-32 of the first ``size`` bytes of an open file, or of all of it. Raises OSError.

    Reads into one buffer again and again, so that it stays in the processor's cache.
    """
    file.seek(0)
    crc32, buffer, done = 0, memoryview(bytearray(_CHUNK_BYTES)), 0
    while size is None or done < size:
        most = _CHUNK_BYTES if size is None else min(_CHUNK_BYTES, size - done)
        count = file.readinto(buffer[:most])  # type: ignore[attr-defined]  # typeshed has it for concrete files only
        if not count:
            break
        crc32, done = zlib.crc32(buffer[:count], crc32), done + count
    return crc32
