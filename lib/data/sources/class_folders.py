"""Find the images of class folders, in every layout that people keep them in.

    DIR/train/CLASS/FILE and DIR/val/CLASS/FILE                  or valid/, validation/, test/ for val/
    DIR/CLASS/FILE                                               split by data.val_share, see ``split``
    DIR/train/CLASS/images/FILE, DIR/val/images/FILE and
    DIR/val/val_annotations.txt: lines of "FILE CLASS ..."       as Tiny ImageNet has it
    DIR/train.txt and DIR/val.txt: lines of "NAME LABEL"         as Caffe has it; without val.txt split as above
    DIR/train/CLASS/FILE, DIR/val/FILE and DIR/val.txt           the same for validation alone

Labels are class names, or numbers: those of synset_words.txt, of the sorted folders of train/, or names themselves.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...config.schema import DataConfig
from ...errors import DataError
from ...system.terminal import print_stdout
from ...types import SPLITS, Split
from ..class_names import IN_ORDER, find_words, read_words
from ..images.listing import is_image, walk
from ..packed.layout import Layout, layout
from .labeled_images import (
    LabeledImages,
    filled_folders,
    images_of_flat,
    images_of_folders,
    images_of_list,
    is_label_list,
    name_numbers,
    read_labels,
    without_misc,
)
from .split import split_images
from .validation_classes import match_validation

VAL_FOLDERS = ("val", "valid", "validation", "test")
_ANNOTATIONS = "val_annotations.txt"
SPLIT_RECORD = "split.csv"
"""the sides of images that are split, in the misc folder"""


@dataclass(frozen=True)
class Place:
    """Where the images of a split are, and the list of their labels unless their folders are the classes."""

    root: Path
    labels: Path | None = None
    whole: bool = False
    """whether all images in ``root``, a flat folder, belong to the split, and must be in the list"""


def find_labeled_images(data: DataConfig) -> dict[Split, LabeledImages]:
    """Return the images of both splits. Those for validation are of classes that training has. Raises DataError."""
    at = layout(data.dir, data.misc_dir)
    places = split_places(data.dir)
    if places["train"] == places["val"]:
        found = _images(places["train"], at, ())
        _check_several(found)
        sides = split_images(found.root, found.images, data.val_share, at.misc / SPLIT_RECORD)
        return {split: LabeledImages(found.root, sides[split], found.passed_over) for split in SPLITS}
    train_root, val_root = places["train"].root, places["val"].root
    if train_root.samefile(val_root) and not places["train"].labels:
        print_stdout(f"warning: {train_root} and {val_root} are the same folder, so validation tells nothing")
    if places["train"].labels:
        train, val = _listed(places, at)
    else:
        train = images_of_folders(train_root, without_misc(walk(train_root), data.misc_dir.name))
        val = _images(places["val"], at, train.classes)
    _check_several(train)
    return {"train": train, "val": match_validation(val, train.classes, str(train_root))}


def find_validation_images(data: DataConfig, classes: Sequence[str]) -> LabeledImages:
    """Return the validation images of a data set that may lack training images, or all that are not split yet.

    ``classes`` are the names that a label may be a number of. Raises DataError.
    """
    at, place = layout(data.dir, data.misc_dir), val_place(data.dir)
    if not place and is_split(data):
        return find_labeled_images(data)["val"]
    return _images(place or labeled_place(data.dir), at, classes)


def is_split(data: DataConfig) -> bool:
    """Return whether the data set has training images: in a folder or list of their own, or those of a split."""
    return bool(_train_place(data.dir)) or (layout(data.dir, data.misc_dir).misc / SPLIT_RECORD).is_file()


def split_places(folder: Path) -> dict[Split, Place]:
    """Return where the images of each split are; both are the same if they are not split. Raises DataError."""
    if not folder.is_dir():
        raise DataError(f"data folder {folder} does not exist; name one that holds train/ and val/ with --data.dir")
    train, val = _train_place(folder), val_place(folder)
    if train and val:
        return {"train": train, "val": val}
    if train and not train.labels:
        raise DataError(
            f"{folder} holds train/, but none of {', '.join(f'{name}/' for name in VAL_FOLDERS)}; add one, or name "
            f"{train.root} with --data.dir to split it by data.val_share"
        )
    if val:
        raise DataError(
            f"{folder} holds no folder train/; its images must be in train/CLASS/ and {val.root.name}/CLASS/"
        )
    whole = train or labeled_place(folder)
    return {"train": whole, "val": whole}


def val_place(folder: Path) -> Place | None:
    """Return where the validation images of a data set in ``folder`` are, or None if it has none."""
    lists = [path for name in VAL_FOLDERS if is_label_list(path := folder / f"{name}.txt")]
    val = next((path for name in VAL_FOLDERS if (path := folder / name).is_dir()), None)
    if val and not (val / _ANNOTATIONS).is_file() and _is_flat(val) and lists:
        return Place(val, lists[0], whole=True)
    if val:
        return labeled_place(val)
    return Place(folder, lists[0]) if lists else None


def labeled_place(folder: Path) -> Place:
    """Return ``folder`` as the place of a split, with the list of its labels, in it or beside it, if it is flat."""
    if (folder / _ANNOTATIONS).is_file():
        images = folder / "images"
        return Place(images if images.is_dir() else folder, folder / _ANNOTATIONS, whole=True)
    if not _is_flat(folder):
        return Place(folder)
    lists = (*sorted(folder.glob("*.txt")), folder.parent / f"{folder.resolve().name}.txt")
    labels = next((path for path in lists if is_label_list(path)), None)
    return Place(folder, labels, whole=labels is not None)


def _train_place(folder: Path) -> Place | None:
    train, listed = folder / "train", folder / "train.txt"
    if is_label_list(listed) and not (train.is_dir() and not _is_flat(train)):
        return Place(folder, listed)
    return Place(train) if train.is_dir() else None


def _images(place: Place, at: Layout, classes: Sequence[str]) -> LabeledImages:
    if place.labels is None:
        listed = walk(place.root)
        if place.root == at.dir:  # a folder of a run is no class
            listed = (f for f in listed if not (place.root / f.name.partition("/")[0] / "metrics.jsonl").exists())
        return images_of_folders(place.root, filled_folders(listed))
    labels = name_numbers({place.labels: read_labels(place.labels)}, _in_order(at) or classes)[place.labels]
    if place.whole:
        return images_of_flat(place.root, place.labels, labels)
    return images_of_list(_roots(place), place.labels, labels)


def _listed(places: dict[Split, Place], at: Layout) -> tuple[LabeledImages, LabeledImages]:
    """Return the images of a training list, and those for validation, whose numbers are filled up alike."""
    lists = {place.labels: read_labels(place.labels) for place in places.values() if place.labels}
    named = name_numbers(lists, _in_order(at))
    train, val = places["train"], places["val"]
    assert train.labels
    found = images_of_list(_roots(train), train.labels, named[train.labels])
    if not val.labels:
        return found, _images(val, at, ())
    if val.whole:
        return found, images_of_flat(val.root, val.labels, named[val.labels])
    return found, images_of_list(_roots(val), val.labels, named[val.labels])


def _roots(place: Place) -> list[Path]:
    """Return the folders that the names of a list may start from."""
    assert place.labels
    return [place.root, place.root / place.labels.stem]


def _in_order(at: Layout) -> tuple[str, ...]:
    """Return the class names that a list in the order of the classes has."""
    path = find_words((at.misc, at.dir), IN_ORDER)
    return tuple(read_words(path)) if path else ()


def _is_flat(folder: Path) -> bool:
    """Return whether no folder in it holds an image."""
    return not any("/" in file.name and is_image(file.name) for file in walk(folder))


def _check_several(found: LabeledImages) -> None:
    """Raise DataError if there is a single class."""
    counts = Counter(image.label for image in found.images)
    if len(counts) == 1:
        [(name, count)] = counts.items()
        raise DataError(
            f"{found.root} holds a single class folder, {name} ({count:,} images), and there is nothing to tell it "
            "from; name with --data.dir the folder that holds one folder for each class"
        )
