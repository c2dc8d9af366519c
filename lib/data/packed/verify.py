"""Is a batch file still what was packed? Its checksum against the manifest's."""

import zlib
from pathlib import Path

from lib.data.packed.layout import BatchFile
from lib.errors import DataError

MAKE = "run preprocessing/generate_data.sh again"
FIX = f"delete it and {MAKE}"
LOOK = f"see to its disk, or {FIX}"
_CHUNK = 4 << 20


def refuse_damaged(path: Path, packed: BatchFile) -> None:
    """Read all of ``path``. Raises DataError unless it holds the bytes that were packed."""
    try:
        with path.open("rb", buffering=0) as file:
            crc32 = 0
            while chunk := file.read(_CHUNK):
                crc32 = zlib.crc32(chunk, crc32)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {MAKE}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; {LOOK}") from None
    if crc32 != packed.crc32:
        raise DataError(f"{path} is damaged (its checksum is not the manifest's); {FIX}")
