"""List the images of class folders, of a flat folder, or of a tar of either, in a fixed order."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lib.data.images.tar_index import tar_index
from lib.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


class ImageFile(NamedTuple):
    """One image: ``class/file`` or ``file``, its size, and its offset in a tar (None: a file of its own)."""

    name: str
    bytes: int
    offset: int | None


@dataclass(frozen=True)
class ImageList:
    """The images under ``root`` and their class folders, both sorted. A flat folder has no classes."""

    root: Path
    entries: list[ImageFile]
    classes: tuple[str, ...]


def list_images(root: Path, cache_dir: Path | None = None) -> ImageList:
    """List every image under ``root``, a folder or an uncompressed tar file.

    The index of a tar is cached in ``cache_dir``, if given. Files with other suffixes and names that begin with a dot
    are ignored.

    Raises DataError if there is no image, a class folder is empty, or single images and class folders are mixed.
    """
    if root.is_dir():
        entries, classes = _in_folder(root)
    elif root.is_file():
        entries, classes = _in_tar(root, cache_dir)
    else:
        raise DataError(f"{root} does not exist; name a folder of images or a tar file")
    _check(root, entries, classes)
    return ImageList(root, sorted(entries), tuple(sorted(classes)))


def read_image(root: Path, entry: ImageFile) -> bytes:
    """Return the encoded bytes of one image. Raises DataError if they cannot be read or their number has changed."""
    path = root / entry.name if entry.offset is None else root
    try:
        with path.open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), entry.bytes, entry.offset) if entry.offset else file.readall()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(data) != entry.bytes:
        raise DataError(
            f"{path} has changed since it was listed: {entry.name} had {entry.bytes} bytes, now {len(data)}"
        )
    return data


def _in_folder(root: Path) -> tuple[list[ImageFile], set[str]]:
    classes = set()
    entries = []
    for item in _visible(root):
        if item.is_dir():
            classes.add(item.name)
            for file in _visible(Path(item.path)):
                if _is_image(file.name) and file.is_file():
                    entries.append(ImageFile(f"{item.name}/{file.name}", file.stat().st_size, None))
        elif _is_image(item.name) and item.is_file():
            entries.append(ImageFile(item.name, item.stat().st_size, None))
    return entries, classes


def _visible(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            yield from (item for item in items if not item.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}") from None


def _in_tar(root: Path, cache_dir: Path | None) -> tuple[list[ImageFile], set[str]]:
    entries = []
    for name, size, offset in tar_index(root, cache_dir):
        parts = name.split("/")
        if not _is_image(name) or any(part.startswith(".") for part in parts):
            continue
        if len(parts) > 2:
            raise DataError(f"{root}: {name} is nested too deep; a tar holds images or class folders at its top level")
        entries.append(ImageFile(name, size, offset))
    return entries, {entry.name.split("/")[0] for entry in entries if "/" in entry.name}


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _check(root: Path, entries: list[ImageFile], classes: set[str]) -> None:
    if not entries:
        raise DataError(f"{root} holds no image ({', '.join(SUFFIXES)}), neither itself nor in class folders")
    flat = [entry.name for entry in entries if "/" not in entry.name]
    if flat and classes:
        raise DataError(f"{root} holds both class folders ({min(classes)}) and single images ({min(flat)})")
    empty = sorted(classes - {entry.name.split("/")[0] for entry in entries})
    if classes and empty:
        raise DataError(f"{root}: {len(empty)} class folders hold no image, the first is {empty[0]}; fill or remove it")
    if len({entry.name for entry in entries}) != len(entries):
        raise DataError(f"{root} holds the same name twice")
    for entry in entries:
        if not entry.name.isprintable():  # lists hold one name a line, as text that Caffe and people read
            raise DataError(f"{root}: the name {entry.name!r} has characters that cannot be written in a list")
