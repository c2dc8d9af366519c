"""A checksum inside a zip file: the CRC-32 of all bytes before it, at the end of the zip's comment.

    ... the zip ... | comment length 14 | crc32:1b2c3d4e

torch.load checks only part of what it reads, and nothing if it maps the file. A zip with this comment is still an
ordinary zip. A zip without a comment, as older versions wrote them, has no checksum and passes.
"""

import os
import zlib
from pathlib import Path
from typing import BinaryIO

from ..system.checksum import file_crc32

_TAG = b"crc32:"
_COMMENT_BYTES = len(_TAG) + 8
# The last record of a zip without a comment: its size, from the signature to the length of the comment.
_END_BYTES, _SIGNATURE = 22, b"PK\5\6"


def append_checksum(file: BinaryIO) -> None:
    """Append the checksum to a zip without a comment that is open for reading and writing. Raises OSError."""
    file.seek(-2, os.SEEK_END)
    file.write(_COMMENT_BYTES.to_bytes(2, "little"))
    crc32 = zlib.crc32(_TAG, file_crc32(file))
    file.seek(0, os.SEEK_END)
    file.write(b"%s%08x" % (_TAG, crc32))


def verify_checksum(path: Path) -> bool:
    """Return whether the checksum of the zip at ``path`` is correct, or the zip has no comment. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END_BYTES))
        end = file.read()
        if end.startswith(_SIGNATURE) and end.endswith(b"\0\0"):
            return True
        return len(end) == _END_BYTES and end[-8:] == b"%08x" % file_crc32(file, size - 8)
