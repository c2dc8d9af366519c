"""Find the images in a tar file, so that they can be read in place.

Three forms are known: ILSVRC's training file (a tar of one tar for each class), a tar of class folders, and a tar of
images (ILSVRC's validation file).
"""

import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from ..data.images.listing import is_image
from ..errors import ConfigError, DataError, reading
from ..system.atomic_write import atomic_write

BLOCK = 512
# Headers that extend the next one. They usually have some hundred bytes.
_EXTENSIONS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_MAX_EXTENSION_BYTES = 64 << 10

Member = tuple[str, int, int]
"""name, size in bytes, offset in the file"""


class _CachedIndex(msgspec.Struct, frozen=True):
    path: str
    bytes: int
    mtime_ns: int
    members: list[Member]


def tar_index(path: Path, cache_dir: Path) -> list[Member]:
    """List every regular file and folder in the tar. The name of a folder ends in a slash.

    What is in an inner tar is named ``<stem of the inner tar>/<name>``. The index is cached in ``cache_dir``, and used
    again while the tar's size and time stay the same. Raises DataError if the file is no tar, is compressed, or is
    truncated.
    """
    stat = path.stat()
    cache = cache_dir / f"tar_{zlib.crc32(os.fsencode(path.resolve())):08x}.msgpack"
    key = (_as_text(str(path.resolve())), stat.st_size, stat.st_mtime_ns)
    if (members := _read_cache(cache, key)) is not None:
        return members
    with reading(path, DataError, "download it again"), path.open("rb") as outer, path.open("rb") as inner:
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
    except Exception:  # whatever is wrong with it, it is made again
        return None
    return index.members if (index.path, index.bytes, index.mtime_ns) == key else None


def _members(path: Path, outer: IO[bytes], inner: IO[bytes], size: int) -> Iterator[Member]:
    for member in _headers(path, outer, 0, size):
        name = PurePosixPath(member.name)
        if member.isdir() or name.suffix.lower() != ".tar":
            yield _named(str(name), member)
            continue
        yield f"{name.stem}/", 0, member.offset_data
        end = member.offset_data + member.size
        for file in _headers(path, inner, member.offset_data, end):
            yield _named(f"{name.stem}/{PurePosixPath(file.name)}", file)


def _named(name: str, member: tarfile.TarInfo) -> Member:
    name = _as_text(name)
    return (f"{name}/", 0, member.offset_data) if member.isdir() else (name, member.size, member.offset_data)


def _as_text(name: str) -> str:
    """Return a name whose bytes that are no text are escaped: images in a tar are found by their place, not by name."""
    return name.encode(errors="backslashreplace").decode()


def _headers(path: Path, file: IO[bytes], start: int, end: int) -> Iterator[tarfile.TarInfo]:
    """Yield the regular files and folders of the tar that begins at byte ``start`` and ends before ``end``."""
    file.seek(start)
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # otherwise it keeps every header
                if member.issym() or member.islnk():
                    raise DataError(f"{path}: {member.name} is a link; unpack the tar and name the folder")
                if member.issparse():
                    raise DataError(f"{path}: {member.name} is stored without its holes; make the tar without --sparse")
                if not 0 <= member.size <= end - member.offset_data:
                    raise DataError(
                        f"{path} is damaged or truncated: {member.name} claims {member.size:,} bytes; download it again"
                    )
                if member.isreg() or member.isdir():
                    if member.name != ".":
                        yield member
                elif is_image(member.name):
                    raise DataError(
                        f"{path}: {member.name} is a pipe or a device, not an image; make the tar without it"
                    )
            position = tar.offset
    except tarfile.TarError as error:
        raise DataError(f"{path} cannot be read as an uncompressed tar, or is truncated: {error}") from None
    file.seek(position)
    # tarfile takes a damaged header for the end. The real end is a block of zeros.
    if position + BLOCK > end or file.read(BLOCK) != bytes(BLOCK):
        raise DataError(f"{path} is damaged or truncated: no end of archive at byte {position:,}; download it again")


class _Header(tarfile.TarInfo):
    """A header that is checked before tarfile uses it.

    tarfile returns to the same header for ever if a size is negative, reads the whole of a long name or an extended
    header into memory, and searches the latter in time quadratic in its longest number.
    """

    def _block(self, count: int) -> int:
        if count < 0:
            raise tarfile.ReadError("a size is negative")
        return super()._block(count)  # type: ignore[misc, no-any-return]  # typeshed leaves it out

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _EXTENSIONS:
            if not 0 <= self.size <= _MAX_EXTENSION_BYTES:
                raise tarfile.ReadError(f"the header {self.name!r} claims {self.size:,} bytes")
            position = tar.fileobj.tell()
            if re.search(rb"\d{256}", tar.fileobj.read(self.size)):
                raise tarfile.ReadError(f"the header {self.name!r} holds a number of more than 255 digits")
            tar.fileobj.seek(position)
        return super()._proc_member(tar)  # type: ignore[misc, no-any-return]
