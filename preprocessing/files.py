"""Files that are there whole or not at all."""

import fcntl
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from lib.data.packed.layout import Layout, Manifest
from lib.errors import DataError
from lib.system.atomic_write import atomic_write


def write_file(path: Path, data: bytes) -> int:
    """Write it so that a power cut leaves it whole, or not there. Returns the crc32 of the bytes. Raises DataError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, lambda file: file.write(data))
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from None
    return zlib.crc32(data)


def write_manifest(at: Layout, manifest: Manifest) -> None:
    """Write it with its checksum."""
    write_file(at.manifest, msgspec.json.format(msgspec.json.encode(manifest.sealed())))


def partial(path: Path) -> Path:
    """Where a file is written before it takes its name."""
    return path.with_name(f".{path.name}.partial")


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Only one process at a time makes a data set. Raises DataError when another has the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        claim = os.open(folder, os.O_RDONLY)  # the folder itself: a lock that no killed process leaves behind
    except OSError as error:
        raise DataError(f"{folder} cannot be made: {error.strerror}") from None
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(claim)
        raise DataError(f"another process is making the data set of {folder}; wait for it, or end it") from None
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(claim)
