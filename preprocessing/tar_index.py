"""Find the images in a tar file, so that they can be read in place.

Three forms are known: ILSVRC's training file (a tar of one tar for each class), a tar of class folders, and a tar of
images (ILSVRC's validation file).
"""

import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from lib.errors import ConfigError, DataError
from lib.system.atomic_write import atomic_write

BLOCK = 512

Member = tuple[str, int, int]
"""name, size in bytes, offset in the file"""


class _CachedIndex(msgspec.Struct, frozen=True):
    path: str
    bytes: int
    mtime_ns: int
    members: list[Member]


def tar_index(path: Path, cache_dir: Path) -> list[Member]:
    """List every regular file in the tar. Those of inner tars are named ``<stem of the inner tar>/<name>``.

    The index is cached in ``cache_dir``, and used again while the tar's size and time stay the same.
    Raises DataError if the file is no tar, is compressed, or is truncated.
    """
    stat = path.stat()
    cache = cache_dir / f"tar_{zlib.crc32(os.fsencode(path.resolve())):08x}.msgpack"
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if (members := _read_cache(cache, key)) is not None:
        return members
    with path.open("rb") as outer, path.open("rb") as inner:
        members = list(_members(path, outer, inner, stat.st_size))
    _write_cache(cache, msgspec.msgpack.encode(_CachedIndex(*key, members)))
    return members


def _write_cache(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, lambda file: file.write(content))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}; name a writable folder with --misc_dir"
        ) from None


def _read_cache(path: Path, key: tuple[str, int, int]) -> list[Member] | None:
    try:
        index = msgspec.msgpack.decode(path.read_bytes(), type=_CachedIndex)
    except (OSError, msgspec.MsgspecError):
        return None
    return index.members if (index.path, index.bytes, index.mtime_ns) == key else None


def _members(path: Path, outer: IO[bytes], inner: IO[bytes], size: int) -> Iterator[Member]:
    for member in _regular_files(path, outer, 0, size):
        name = PurePosixPath(member.name)
        if name.suffix.lower() != ".tar":
            yield str(name), member.size, member.offset_data
            continue
        end = member.offset_data + member.size
        for file in _regular_files(path, inner, member.offset_data, end):
            yield f"{name.stem}/{PurePosixPath(file.name)}", file.size, file.offset_data


def _regular_files(path: Path, file: IO[bytes], start: int, end: int) -> Iterator[tarfile.TarInfo]:
    """Yield the regular files of the tar that begins at byte ``start`` and ends before ``end``."""
    file.seek(start)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # otherwise it keeps every header
                if member.issym() or member.islnk():
                    raise DataError(f"{path}: {member.name} is a link; unpack the tar and name the folder")
                if member.isreg():
                    yield member
            position = tar.offset
    except tarfile.TarError as error:
        raise DataError(f"{path} cannot be read as an uncompressed tar, or is truncated: {error}") from None
    file.seek(position)
    # tarfile takes a damaged header for the end. The real end is a block of zeros.
    if position + BLOCK > end or file.read(BLOCK) != bytes(BLOCK):
        raise DataError(f"{path} is damaged or truncated: no end of archive at byte {position:,}; download it again")
