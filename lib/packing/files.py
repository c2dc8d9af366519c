"""Write the files of a data set, and lock its folder."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ..data.packed.layout import Layout
from ..data.packed.manifest import Manifest
from ..errors import DataError
from ..system.atomic_write import atomic_write
from ..system.file_lock import try_lock


def write_file(path: Path, data: bytes) -> int:
    """Write a file atomically, and its folders. Returns the CRC-32 of the bytes. Raises DataError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, lambda file: file.write(data))
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from None
    return zlib.crc32(data)


def write_manifest(at: Layout, manifest: Manifest) -> None:
    """Write the manifest with its checksum."""
    write_file(at.manifest, msgspec.json.format(msgspec.json.encode(manifest.with_checksum())))


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Make ``folder`` and lock it. Raises DataError if another process makes a data set there.

    The folder itself is locked, so a killed process leaves no lock file behind.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise DataError(f"{folder} cannot be made: {error.strerror}") from None
    try:
        try:
            locked = try_lock(descriptor)
        except OSError:
            locked = True  # the file system has no locks
        if not locked:
            raise DataError(f"another process is making the data set of {folder}; wait for it, or end it")
        yield
    finally:
        os.close(descriptor)
