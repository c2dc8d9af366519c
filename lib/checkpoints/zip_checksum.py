"""A checksum inside a zip file: the CRC-32 of all its bytes, as the comment with which it ends.

    ... the zip as it was ... | comment length 14 | crc32:1b2c3d4e

torch.load itself checks a part of what it reads, and nothing where it maps the file. A sealed file is still an
ordinary zip; one without a comment, as older versions wrote them, has no seal to break.
"""

import os
import zlib
from pathlib import Path
from typing import BinaryIO

_TAG = b"crc32:"
_SEAL_BYTES = len(_TAG) + 8
# The last record of a zip without a comment: this many bytes, from the signature to the comment's length.
_END_BYTES, _SIGNATURE = 22, b"PK\5\6"
_CHUNK = 1 << 20


def seal(file: BinaryIO) -> None:
    """Put the seal on a zip without a comment, open for reading and writing. Raises OSError."""
    file.seek(-2, os.SEEK_END)
    file.write(_SEAL_BYTES.to_bytes(2, "little"))
    file.seek(0)
    crc32 = zlib.crc32(_TAG, _crc32(file, file.seek(0, os.SEEK_END)))
    file.seek(0, os.SEEK_END)
    file.write(b"%s%08x" % (_TAG, crc32))


def is_whole(path: Path) -> bool:
    """Whether the seal of the zip at ``path`` is right, or it is one that never had a seal. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END_BYTES))
        end = file.read()
        if end.startswith(_SIGNATURE) and end.endswith(b"\0\0"):
            return True
        return len(end) == _END_BYTES and end[-8:] == b"%08x" % _crc32(file, size - 8)


def _crc32(file: BinaryIO, size: int) -> int:
    """That of the first ``size`` bytes."""
    file.seek(0)
    crc32 = 0
    while chunk := file.read(min(_CHUNK, size - file.tell())):
        crc32 = zlib.crc32(chunk, crc32)
    return crc32
