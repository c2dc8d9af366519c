"""Find the classes of validation images in a flat folder or tar: by the devkit's ground truth, or by a list."""

import re
from collections.abc import Sequence
from pathlib import Path

from ..data.images.listing import ImageList
from ..data.sources.labeled_images import is_label_list, name_numbers, read_labels
from ..errors import ConfigError, DataError
from .devkit import read_ground_truth, read_synsets
from .settings import Settings

_NUMBER = re.compile(r"(\d+)\.[^.]*$")


def labels_of_flat(settings: Settings, images: ImageList, classes: Sequence[str]) -> dict[str, str]:
    """Return the class of each image by its name.

    ``val_label_file`` is a list of "NAME LABEL", or the devkit's ground truth: its line i is that of the image whose
    name ends in the number i, as in ILSVRC2012_val_00000293.JPEG, so that a part of the images may do. Where names have
    no numbers it is that of the i-th name in sorted order. Raises ConfigError if the files are not set, and DataError
    if they do not match the images.
    """
    path = settings.val_label_file
    if path is not None and is_label_list(path):
        labels = name_numbers({path: read_labels(path)}, classes)[path]
        if missing := next((entry.name for entry in images.entries if entry.name not in labels), None):
            raise DataError(f"{path} names no class for {missing} of {images.root}; add a line, or remove the image")
        return labels
    if path is None or settings.meta_clsloc_mat is None:
        key = "val_label_file" if path is None else "meta_clsloc_mat"
        raise ConfigError(f"the validation images are in no class folders, so set {key} in paths.yaml or with --{key}")
    ids = read_ground_truth(path)
    lines = _lines([entry.name for entry in images.entries], len(ids), path, images.root)
    wnid_of = {synset.id: synset.wnid for synset in read_synsets(settings.meta_clsloc_mat)}
    folders, labels = set(classes), {}
    for name, line in lines.items():
        id = ids[line - 1]
        if id not in wnid_of:
            raise DataError(f"{path}, line {line}: {settings.meta_clsloc_mat} has no class of number {id}")
        if wnid_of[id] not in folders:
            raise DataError(
                f"{path}, line {line}: class {id} is {wnid_of[id]}, which has no folder in {settings.source('train')}"
            )
        labels[name] = wnid_of[id]
    return labels


def _lines(names: Sequence[str], count: int, path: Path, root: Path) -> dict[str, int]:
    """Return the line of the ground truth, from 1, for each of the sorted ``names``."""
    found = [_NUMBER.search(name) for name in names]
    numbers = [int(match[1]) for match in found if match]
    if len(set(numbers)) < len(names):
        if len(names) != count:
            raise DataError(f"{path} has {count} lines, but {root} has {len(names)} images, not all with a number")
        return dict(zip(names, range(1, count + 1), strict=True))
    for name, number in zip(names, numbers, strict=True):
        if not 1 <= number <= count:
            raise DataError(f"{path} has {count} lines, counted from 1, but {root} has {name}; name its own list")
    return dict(zip(names, numbers, strict=True))
