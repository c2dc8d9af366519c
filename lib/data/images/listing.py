"""List the images of class folders, or of a flat folder, in a fixed order."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lib.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


class ImageFile(NamedTuple):
    """One image: ``class/file`` or ``file``, its size, and its offset in a tar (None: a file of its own)."""

    name: str
    bytes: int
    offset: int | None = None


@dataclass(frozen=True)
class ImageList:
    """The images under ``root`` and their class folders, both sorted. A flat folder has no classes."""

    root: Path
    entries: list[ImageFile]
    classes: tuple[str, ...]


def list_images(root: Path) -> ImageList:
    """List every image in the folder ``root``. Other suffixes and names that begin with a dot are ignored.

    Raises DataError if there is no image, a class folder is empty, or single images and class folders are mixed.
    """
    classes = set()
    entries = []
    for item in _visible(root):
        if item.is_dir():
            classes.add(item.name)
            for file in _visible(Path(item.path)):
                if is_image(file.name) and file.is_file():
                    entries.append(ImageFile(f"{item.name}/{file.name}", file.stat().st_size))
        elif is_image(item.name) and item.is_file():
            entries.append(ImageFile(item.name, item.stat().st_size))
    return checked_list(root, entries, classes)


def is_image(name: str) -> bool:
    """Return whether a file name has the suffix of an image."""
    return name.lower().endswith(SUFFIXES)


def checked_list(root: Path, entries: list[ImageFile], classes: set[str]) -> ImageList:
    """Return these images and class folders, sorted. Raises DataError as ``list_images`` does."""
    if not entries:
        raise DataError(f"{root} holds no image ({', '.join(SUFFIXES)}), neither itself nor in class folders")
    flat = [entry.name for entry in entries if "/" not in entry.name]
    if flat and classes:
        raise DataError(f"{root} holds both class folders ({min(classes)}) and single images ({min(flat)})")
    empty = sorted(classes - {entry.name.split("/")[0] for entry in entries})
    if empty:
        raise DataError(f"{root}: {len(empty)} class folders hold no image, the first is {empty[0]}; fill or remove it")
    if len({entry.name for entry in entries}) != len(entries):
        raise DataError(f"{root} holds the same name twice")
    for entry in entries:
        if not entry.name.isprintable():  # lists hold one name a line, as text that Caffe and people read
            raise DataError(f"{root}: the name {entry.name!r} has characters that cannot be written in a list")
    return ImageList(root, sorted(entries), tuple(sorted(classes)))


def _visible(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            yield from (item for item in items if not item.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}") from None
