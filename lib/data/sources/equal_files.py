"""Find image files with the same bytes, and name those that are where they should not be."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from hashlib import file_digest
from pathlib import Path

from ...errors import UnavailableError
from ...system.regular_file import open_regular
from ...system.terminal import print_stdout
from .labeled_images import LabeledImage, LabeledImages

# Files of the same size rarely end alike, so few are read whole to compare them.
_END_BYTES = 4096
# A part of each file is read, so the images of a large data set would take minutes, and are not compared.
_MAX_COMPARED = 100_000


def equal_files(root: Path, images: Iterable[LabeledImage]) -> list[list[LabeledImage]]:
    """Return each group of images whose files have the same bytes. Raises UnavailableError if one cannot be read."""

    def end(image: LabeledImage) -> bytes:
        with open_regular(root / image.name) as file:
            file.seek(max(0, image.bytes - _END_BYTES))
            return file.readall()

    def content(image: LabeledImage) -> bytes:
        with open_regular(root / image.name) as file:
            return file_digest(file, "sha256").digest()

    groups = [list(images)]
    try:
        for key in (lambda image: image.bytes, end, content):
            groups = [part for group in groups for part in _grouped(group, key)]
    except OSError as error:
        raise UnavailableError(f"{error.filename} cannot be read: {error.strerror}; check its disk") from None
    return groups


def _grouped(images: Iterable[LabeledImage], key: Callable[[LabeledImage], Hashable]) -> list[list[LabeledImage]]:
    """Return the groups of two or more images with the same key."""
    groups = defaultdict[Hashable, list[LabeledImage]](list)
    for image in images:
        groups[key(image)].append(image)
    return [group for group in groups.values() if len(group) > 1]


def warn_of_classes(root: Path, equal: Iterable[Sequence[LabeledImage]]) -> None:
    """Name the first image that is in two classes."""
    mixed = [group for group in equal if len({image.label for image in group}) > 1]
    if mixed:
        names = " and ".join(image.name for image in {image.label: image for image in mixed[0]}.values())
        print_stdout(f"warning: {root}: images in several classes: {len(mixed):,}; {names} are equal")


def warn_of_equal_files(train: LabeledImages, val: LabeledImages) -> None:
    """Print how many images are in both splits, and how many in several classes, with the first of each.

    Raises UnavailableError if a file cannot be read.
    """
    parts = [[image._replace(name=str(part.root / image.name)) for image in part.images] for part in (train, val)]
    if sum(map(len, parts)) > _MAX_COMPARED:
        return
    equal, of_val = equal_files(Path(), [*parts[0], *parts[1]]), {image.name for image in parts[1]}
    warn_of_classes(train.root.parent, equal)
    pairs = [
        (next(name for name in names if name not in of_val), next(name for name in names if name in of_val))
        for names in ([image.name for image in group] for group in equal)
        if 0 < sum(name in of_val for name in names) < len(names)
    ]
    if pairs:
        print_stdout(
            f"warning: images in training and in validation, which therefore tells less: {len(pairs):,}; "
            f"{' and '.join(pairs[0])} are equal",
        )
