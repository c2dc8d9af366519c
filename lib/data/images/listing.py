"""List the images of class folders, or of a flat folder, in a fixed order."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError
from ..class_names import composed

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
# Folders that operating systems and disk stations put beside images. Names that begin with a dot are others.
_SYSTEM_FOLDERS = ("@eaDir", "__MACOSX", "lost+found", "$RECYCLE.BIN", "System Volume Information")
# Kinds of files that a message names.
_NAMED_KINDS = 8


class ImageFile(NamedTuple):
    """One image: ``class/file`` or ``file``, its size, and its offset in a tar (None: a file of its own)."""

    name: str
    bytes: int
    offset: int | None = None
    modified_ns: int = 0
    """when the file was modified; 0 in a tar"""


@dataclass(frozen=True)
class ImageList:
    """The images under ``root`` and their class folders, both sorted. A flat folder has no classes."""

    root: Path
    entries: list[ImageFile]
    classes: tuple[str, ...]
    passed_over: str = ""
    """one line that counts, by kind, the files that are no images; empty if there are none"""


def list_images(root: Path) -> ImageList:
    """List every image in the folder ``root``, as ``image_list`` does. Raises DataError as that does."""
    return image_list(root, walk(root))


def find_images(folder: Path) -> list[Path]:
    """Return every image in ``folder`` and the folders in it, sorted. Raises DataError for a link to nowhere."""
    return sorted(folder / file.name for file in walk(folder) if is_image(file.name) and not is_hidden(file.name))


def image_list(root: Path, files: Iterable[ImageFile]) -> ImageList:
    """Return the images among ``files``, which are all those under ``root``; the name of a folder ends in a slash.

    Files with other suffixes, hidden files and those of the operating system are passed over, and counted. Raises
    DataError if there is no image, if one is deeper than in a class folder, if a class folder is empty, or if single
    images and class folders are mixed.
    """
    classes, entries, passed_over = set[str](), list[ImageFile](), Counter[str]()
    for file in files:
        if is_hidden(file.name):
            passed_over["hidden or of the system"] += 1
            continue
        if "/" in file.name:
            classes.add(class_of(file.name))
        if is_image(file.name):
            if file.name.count("/") > 1:
                raise DataError(
                    f"{root}: {file.name} is nested too deep; move the images of a class up into one folder, or name "
                    "the folder that holds these class folders"
                )
            entries.append(file)
        elif not file.name.endswith("/"):
            passed_over[Path(file.name).suffix.lower() or "without a suffix"] += 1
    return _checked(ImageList(root, sorted(entries), tuple(sorted(classes)), _counted(root, passed_over)))


def class_of(name: str) -> str:
    """Return the class of the image ``class/file``: its folder, in Unicode's composed form."""
    return composed(name.partition("/")[0])


def is_image(name: str) -> bool:
    """Return whether a file name has the suffix of an image."""
    return name.lower().endswith(SUFFIXES)


def _checked(images: ImageList) -> ImageList:
    root, entries, classes = images.root, images.entries, images.classes
    if not entries:
        raise DataError(
            f"{root} holds no image ({', '.join(SUFFIXES)}), neither itself nor in class folders"
            + (f"; {images.passed_over}" if images.passed_over else "")
        )
    flat = [entry.name for entry in entries if "/" not in entry.name]
    if flat and classes:
        raise DataError(f"{root} holds both class folders ({classes[0]}) and single images ({flat[0]})")
    filled = {class_of(entry.name) for entry in entries}
    if empty := [name for name in classes if name not in filled]:
        raise DataError(f"{root}: {len(empty)} class folders hold no image, the first is {empty[0]}; fill or remove it")
    if len({entry.name for entry in entries}) != len(entries):
        raise DataError(f"{root} holds the same name twice")
    for entry in entries:
        if not entry.name.isprintable():  # lists hold one name a line, as text that Caffe and people read
            raise DataError(f"{root}: the name {entry.name!r} has characters that cannot be written in a list")
    return images


def _counted(root: Path, passed_over: Counter[str]) -> str:
    by_count = sorted(passed_over.items(), key=lambda item: (-item[1], item[0]))
    kinds = [f"{count:,} {kind}" for kind, count in by_count[:_NAMED_KINDS]]
    if len(passed_over) > _NAMED_KINDS:
        kinds.append(f"{len(passed_over) - _NAMED_KINDS} more kinds")
    return f"files passed over in {root}: {', '.join(kinds)}" if kinds else ""


def is_hidden(name: str) -> bool:
    """Return whether a file or folder, or one that it lies in, is hidden or of the operating system."""
    return any(part.startswith(".") or part in _SYSTEM_FOLDERS for part in name.split("/"))


def walk(root: Path, folder: str = "") -> Iterator[ImageFile]:
    """Yield every file and folder under ``root``. Hidden folders are yielded, but not what is in them."""
    try:
        with os.scandir(root / folder) as items:
            found = [(folder + item.name, item) for item in items]
        for name, item in found:
            if is_hidden(name):
                yield ImageFile(name, 0)
            elif item.is_dir():
                yield ImageFile(f"{name}/", 0)
                yield from walk(root, f"{name}/")
            else:
                status = _stat(item)
                yield ImageFile(name, status.st_size, modified_ns=status.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{error.filename or root / folder} cannot be listed: {error.strerror}") from None


def _stat(item: os.DirEntry[str]) -> os.stat_result:
    try:
        status = item.stat()
    except FileNotFoundError:
        raise DataError(f"{item.path} is a link to nowhere; restore what it points at, or remove it") from None
    if is_image(item.name) and not stat.S_ISREG(status.st_mode):
        raise DataError(f"{item.path} is a pipe or a device, not an image; remove it")
    return status
