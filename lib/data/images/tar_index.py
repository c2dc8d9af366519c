"""Where the pictures lie in a tar file, so that they can be read in place.

Three shapes: ILSVRC's training file (a tar of one tar for each class), a tar of class folders, and a tar of
pictures (ILSVRC's validation file).
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

Place = tuple[str, int, int]  # name, size in bytes, offset in the file


class _Index(msgspec.Struct, frozen=True):
    path: str
    bytes: int
    mtime_ns: int
    places: list[Place]


def tar_index(path: Path, cache_dir: Path | None) -> list[Place]:
    """Every regular file in the tar, those of inner tars as ``<inner tar's stem>/<name>``.

    With a ``cache_dir`` the index is kept there, and used again while the tar's size and time stay the same.
    Raises DataError when the file is no tar, is compressed, or is cut off.
    """
    stat = path.stat()
    cached = None if cache_dir is None else cache_dir / f"tar_{zlib.crc32(os.fsencode(path.resolve())):08x}.msgpack"
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if cached is not None and (places := _kept_places(cached, key)) is not None:
        return places
    with path.open("rb") as outer, path.open("rb") as inner:
        places = list(_places(path, outer, inner, stat.st_size))
    if cached is not None:
        _keep(cached, msgspec.msgpack.encode(_Index(*key, places)))
    return places


def _keep(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, lambda file: file.write(content))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}; name a folder that can be, with --misc_dir"
        ) from None


def _kept_places(cached: Path, key: tuple[str, int, int]) -> list[Place] | None:
    try:
        index = msgspec.msgpack.decode(cached.read_bytes(), type=_Index)
    except (OSError, msgspec.MsgspecError):
        return None
    return index.places if (index.path, index.bytes, index.mtime_ns) == key else None


def _places(path: Path, outer: IO[bytes], inner: IO[bytes], size: int) -> Iterator[Place]:
    for member in _members(path, outer, 0, size):
        name = PurePosixPath(member.name)
        if name.suffix.lower() != ".tar":
            yield str(name), member.size, member.offset_data
            continue
        end = member.offset_data + member.size
        for file in _members(path, inner, member.offset_data, end):
            yield f"{name.stem}/{PurePosixPath(file.name)}", file.size, file.offset_data


def _members(path: Path, file: IO[bytes], start: int, end: int) -> Iterator[tarfile.TarInfo]:
    """The regular files of the tar that begins at ``start``."""
    file.seek(start)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # it keeps every header otherwise
                if member.issym() or member.islnk():
                    raise DataError(f"{path}: {member.name} is a link; unpack the tar and name the folder")
                if member.isreg():
                    yield member
            position = tar.offset
    except tarfile.TarError as error:
        raise DataError(f"{path} cannot be read as an uncompressed tar, or is cut off: {error}") from None
    file.seek(position)
    # tarfile takes a damaged header for the end; the true end is a block of zeros
    if position + BLOCK > end or file.read(BLOCK) != bytes(BLOCK):
        raise DataError(f"{path} is damaged or cut off: no end of archive at byte {position:,}; fetch it again")
