"""Open a batch file, and check that it is the one that was packed."""

import errno
import os
import zlib
from pathlib import Path

from ...errors import DataError
from ...system.checksum import file_crc32
from .manifest import BatchFile

MAKE = "run preprocessing/generate_data.sh again"
FIX = f"delete it and {MAKE}"
CHECK_DISK = f"check its disk, or {FIX}"


def open_batch_file(path: Path, file: BatchFile) -> int:
    """Open a batch file for reading and return its descriptor.

    Raises DataError unless its size and the bytes before its pixels are those in the manifest.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would wait for a writer
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {MAKE}") from None
    except OSError as error:
        fix = "; raise the limit: ulimit -n" if error.errno == errno.EMFILE else ""
        raise DataError(f"{path} cannot be opened: {error.strerror}{fix}") from None
    try:
        size = os.fstat(descriptor).st_size
        if size != file.bytes:
            raise DataError(f"{path} has {size:,} bytes where the manifest says {file.bytes:,}; {FIX}")
        if zlib.crc32(os.pread(descriptor, file.offset, 0)) != file.header_crc32:
            raise DataError(f"{path} is damaged (its header is not the one that was packed); {FIX}")
    except OSError as error:
        os.close(descriptor)
        raise DataError(f"{path} cannot be read: {error.strerror}; {CHECK_DISK}") from None
    except DataError:
        os.close(descriptor)
        raise
    return descriptor


def verify_batch_file(path: Path, file: BatchFile) -> None:
    """Read all of a batch file. Raises DataError unless it has the size and checksum in the manifest."""
    with os.fdopen(open_batch_file(path, file), "rb", buffering=0) as opened:
        try:
            crc32 = file_crc32(opened)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}; {CHECK_DISK}") from None
    if crc32 != file.crc32:
        raise DataError(f"{path} is damaged (its checksum is not the manifest's); {FIX}")
