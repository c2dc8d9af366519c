"""Images and the names of their classes: by class folders, or by a list of names and labels.

Class names are compared in Unicode's composed form (NFC): a Mac writes "é" as two characters, Linux as one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError, reading
from ..class_names import composed
from ..images.listing import ImageFile, class_of, image_list, is_image, walk

_FIX = 'save it as UTF-8 text of lines of a file name and a label, like "cat_01.jpg cat"'


class LabeledImage(NamedTuple):
    """An image file, its size, the name of its class, and when it was modified."""

    name: str
    bytes: int
    label: str
    modified_ns: int = 0


@dataclass(frozen=True)
class LabeledImages:
    """The images of one split, sorted by name. Names are relative to ``root``."""

    root: Path
    images: list[LabeledImage]
    passed_over: str = ""
    """one line that counts the files that are no images, or empty"""

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, sorted."""
        return tuple(sorted({image.label for image in self.images}))

    def only(self, classes: Iterable[str]) -> "LabeledImages":
        """Return the images of these classes."""
        wanted = set(classes)
        return replace(self, images=[image for image in self.images if image.label in wanted])


def images_of_folders(root: Path, files: Iterable[ImageFile] | None = None) -> LabeledImages:
    """Return the images in ROOT/CLASS/ and ROOT/CLASS/images/, of ``files`` or else of all in ``root``.

    Raises DataError as ``image_list`` does, and if there are no class folders.
    """
    original: dict[str, str] = {}

    def flat() -> Iterator[ImageFile]:
        for file in walk(root) if files is None else files:
            folder, _, rest = file.name.partition("/images/")
            moved = f"{folder}/{rest}" if rest and "/" not in folder else file.name
            original[moved] = file.name
            yield file._replace(name=moved)

    found = image_list(root, flat())
    if not found.classes:
        raise DataError(f"{root} holds images but no class folders; sort them into one folder a class")
    images = [
        LabeledImage(original[file.name], file.bytes, class_of(file.name), file.modified_ns) for file in found.entries
    ]
    return LabeledImages(root, images, found.passed_over)


def filled_folders(files: Iterable[ImageFile]) -> list[ImageFile]:
    """Return ``files`` without the folders at the top that hold no image, such as misc/."""
    listed = list(files)
    filled = {file.name.partition("/")[0] for file in listed if "/" in file.name and is_image(file.name)}
    return [file for file in listed if "/" not in file.name or file.name.partition("/")[0] in filled]


def without_misc(files: Iterable[ImageFile], misc: str) -> list[ImageFile]:
    """Return ``files`` without the folder ``misc``, which an evaluation of a part of the data set may have written."""
    listed = list(files)
    if any(file.name.startswith(f"{misc}/") and is_image(file.name) for file in listed):
        return listed
    return [file for file in listed if not file.name.startswith(f"{misc}/")]


def images_of_flat(root: Path, path: Path, labels: Mapping[str, str]) -> LabeledImages:
    """Return all images in the flat folder ``root`` with their ``labels`` by name, which are those in ``path``.

    Raises DataError if one has none.
    """
    found = image_list(root, (file for file in walk(root) if "/" not in file.name))
    if missing := next((file.name for file in found.entries if file.name not in labels), None):
        raise DataError(f"{path} names no class for {root / missing}; add a line, or remove the image")
    images = [LabeledImage(file.name, file.bytes, labels[file.name], file.modified_ns) for file in found.entries]
    return LabeledImages(root, images, found.passed_over)


def images_of_list(roots: Sequence[Path], path: Path, labels: Mapping[str, str]) -> LabeledImages:
    """Return the images that the list ``path`` names, whose ``labels`` these are, in the first root that has the first.

    Images that do not exist are left out, and counted. Raises DataError if none exists.
    """
    root = next((root for root in roots if (root / next(iter(labels))).is_file()), roots[0])
    images = []
    for name, label in sorted(labels.items()):
        if (root / name).is_file():
            status = (root / name).stat()
            images.append(LabeledImage(name, status.st_size, label, status.st_mtime_ns))
    if not images:
        raise DataError(f"{root} holds none of the images in {path}, such as {next(iter(labels))}; correct the list")
    lacking = f"{len(labels) - len(images):,} of {len(labels):,} images in {path} do not exist, and are left out"
    return LabeledImages(root, images, lacking if len(images) < len(labels) else "")


def is_label_list(path: Path) -> bool:
    """Return whether ``path`` is a file whose first line is an image and its label."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        words = file.readline().split()
    return len(words) > 1 and any(is_image(word) for word in words)


def read_labels(path: Path) -> dict[str, str]:
    """Return the label of each image in lines of "NAME LABEL", or, with tabs, of "NAME<tab>LABEL<tab>...".

    Raises DataError.
    """
    with reading(path, DataError, _FIX):
        lines = [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    labels: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, *rest = line.strip().split("\t") if "\t" in line else line.strip().rsplit(None, 1)
        if not rest:
            raise DataError(f"{path}, line {number}: {line[:40]!r} is no file name and label; {_FIX}")
        labels[name.removeprefix("./")] = composed(rest[0].strip())
    if not labels:
        raise DataError(f"{path} is empty; {_FIX}")
    return labels


def name_numbers(lists: Mapping[Path, dict[str, str]], folders: Sequence[str]) -> dict[Path, dict[str, str]]:
    """Return labels by image of each list, with the names of ``folders`` in place of their numbers.

    Without ``folders`` numbers are filled up with zeros, so that they sort. Labels that are no numbers stay as they
    are. Raises DataError if there are fewer folders.
    """
    texts = {label for labels in lists.values() for label in labels.values()}
    if not all(text.isascii() and text.isdigit() for text in texts):
        return dict(lists)
    numbers = {text: int(text) for text in texts}
    if folders and max(numbers.values()) >= len(folders):
        path = next(path for path, labels in lists.items() if any(numbers[t] >= len(folders) for t in labels.values()))
        raise DataError(
            f"{path} has labels up to {max(numbers.values())}, but there are {len(folders)} classes, numbered from 0"
        )
    digits = len(str(max(numbers.values())))
    names = {text: folders[number] if folders else f"{number:0{digits}d}" for text, number in numbers.items()}
    return {path: {image: names[text] for image, text in labels.items()} for path, labels in lists.items()}
