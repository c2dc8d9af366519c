"""Split images that come without a validation set.

A keyed hash of its name decides on which side an image is, so that an image keeps its side when others are added, and
on every machine. Two rules go beyond it, and what they decided is kept in ``misc/split.csv``: equal files are on the
same side, and every class of two or more different images has one on each side.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

from ...errors import ConfigError, DataError, reading
from ...system.atomic_write import atomic_write
from ...system.terminal import print_stdout
from ...types import SPLITS, Split
from ..class_names import composed
from .equal_files import equal_files, warn_of_classes
from .labeled_images import LabeledImage

_KEY = b"validation split"
# How the image that is moved to a side is chosen by its hash.
_NEAREST: tuple[tuple[Split, Callable[..., int]], ...] = (("val", min), ("train", max))
_COLUMNS = ["image", "split", "val_share"]


def split_images(
    root: Path, images: Sequence[LabeledImage], val_share: float, record: Path
) -> dict[Split, list[LabeledImage]]:
    """Return the images of each split, in the given order, and write the sides to ``record``, a CSV file.

    An image that the record has for this ``val_share`` keeps its side. Raises DataError if no class has two different
    images.
    """
    sides = read_split(record, val_share)
    if {_key(image) for image in images} != sides.keys():
        equal = equal_files(root, images)
        warn_of_classes(root, equal)
        sides = draw_sides(images, equal, val_share, sides)
    found: dict[Split, list[LabeledImage]] = {
        split: [image for image in images if sides[_key(image)] == split] for split in SPLITS
    }
    if not found["val"]:
        raise DataError(f"{root} cannot be split: no class has two different images; add images to its class folders")
    if _write(record, sides, val_share):
        counts = f"{len(found['train']):,} training and {len(found['val']):,} validation images"
        print_stdout(f"split by data.val_share {val_share:g}: {counts}, listed in {record}")
    return found


def draw_sides(
    images: Iterable[LabeledImage], equal: Sequence[Sequence[LabeledImage]], val_share: float, known: dict[str, Split]
) -> dict[str, Split]:
    """Return the side of each image by its name. Those that are ``equal`` share one; ``known`` images keep theirs.

    A class of several different images that are all on one side gives the one with the nearest hash to the other.
    """
    together = {image.name for group in equal for image in group}
    units = [*equal, *([image] for image in images if image.name not in together)]
    hashes = [_hash(min(_key(image) for image in unit)) for unit in units]
    kept = [next((known[_key(image)] for image in unit if _key(image) in known), None) for unit in units]
    sides: list[Split] = [
        side or ("val" if hash < val_share else "train") for side, hash in zip(kept, hashes, strict=True)
    ]
    of_class = defaultdict[str, list[int]](list)
    for index, unit in enumerate(units):
        for label in {image.label for image in unit}:
            of_class[label].append(index)
    # Training comes last: an image in several classes may be moved twice, and no class may be without training images.
    for wanted, nearest in _NEAREST:
        for _, indices in sorted(of_class.items()):
            alone = wanted == "val" and len(indices) == 1
            if not alone and all(sides[index] != wanted for index in indices):
                movable = [index for index in indices if kept[index] is None] or indices
                sides[nearest(movable, key=hashes.__getitem__)] = wanted
    return {_key(image): side for unit, side in zip(units, sides, strict=True) for image in unit}


def _key(image: LabeledImage) -> str:
    """Return the name of an image, the same on a Mac and on Linux."""
    return composed(image.name)


def _hash(name: str) -> float:
    """Return a number in [0, 1) that depends on the name alone."""
    return int.from_bytes(blake2b(name.encode(), digest_size=6, key=_KEY).digest()) / (1 << 48)


def read_split(record: Path, val_share: float) -> dict[str, Split]:
    """Return the side of each image by its name, as the record has them for this share; none if there is no record.

    Raises DataError if it is damaged.
    """
    if not record.exists():
        return {}
    with reading(record, DataError, "delete it to split anew"):
        rows = list(csv.reader(record.read_text("utf-8").splitlines()))
    known: dict[str, Split] = {}
    for row in rows[1:]:
        if len(row) != len(_COLUMNS) or row[1] not in SPLITS:
            raise DataError(f"{record} has a line that is not NAME,train or val,SHARE: {','.join(row)}; correct it")
        if row[2] == f"{val_share:g}":
            known[row[0]] = row[1]
    return known


def _write(record: Path, sides: dict[str, Split], val_share: float) -> bool:
    """Write the record unless it has this content already. Return whether it was written. Raises ConfigError."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [_COLUMNS, *([name, sides[name], f"{val_share:g}"] for name in sorted(sides))]
    )
    content = text.getvalue().encode()
    try:
        if record.exists() and record.read_bytes() == content:
            return False
        record.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(record, lambda file: file.write(content))
    except OSError as error:
        raise ConfigError(
            f"{record} cannot be written: {error.strerror}; name a writable folder with --data.misc_dir"
        ) from None
    return True
