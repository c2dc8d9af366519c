"""Write the labels of train.txt and val.txt to .npy files, in the order of the batch files."""

import msgspec
import numpy as np

from ..data.packed.layout import Layout
from ..data.packed.manifest import read_manifest
from ..data.packed.metadata import read_classes, read_labels
from ..errors import DataError, reading
from ..system.npy import to_npy_bytes
from ..types import SPLITS, Split
from .command import say
from .devkit import CLASS_NUMBER
from .files import write_file, write_manifest
from .make_train_val_txt import read_filenames
from .settings import Settings


def make_labels(settings: Settings) -> None:
    """Write the labels of each split, int64 (N,), and record their checksums in the manifest."""
    at = settings.layout
    manifest = read_manifest(at)
    if len(read_classes(at)) != manifest.n_classes:
        raise DataError(f"{at.classes} does not match {at.manifest}; run preprocessing/make_train_val_txt.py")
    crc32 = {}
    for split in SPLITS:
        labels = _labels(at, split)
        crc32[split] = write_file(at.labels(split), to_npy_bytes(np.array(labels, np.int64)))
    labeled = msgspec.structs.replace(
        manifest,
        train=msgspec.structs.replace(manifest.train, labels_crc32=crc32["train"]),
        val=msgspec.structs.replace(manifest.val, labels_crc32=crc32["val"]),
    )
    for split in SPLITS:
        read_labels(at, labeled, split)  # raises unless they match images and classes
    if labeled.with_checksum() != manifest:
        write_manifest(at, labeled)
    counts = f"{labeled.train.count:,} training and {labeled.val.count:,} validation labels"
    say(f"{counts} in {at.labels('train').parent}")


def _labels(at: Layout, split: Split) -> list[int]:
    """Return the labels in the list file, which must name the packed images in their order. Raises DataError."""
    path = at.list_file(split)
    with reading(path, DataError, _FIX):
        lines = path.read_text("utf-8-sig").splitlines()
    names = read_filenames(at, split)
    if len(lines) != len(names):
        raise DataError(f"{path} has {len(lines)} lines for {len(names)} packed images; {_FIX}")
    labels = []
    for number, (line, name) in enumerate(zip(lines, names, strict=True), 1):
        listed, _, label = line.rpartition(" ")
        if listed != name or not CLASS_NUMBER.fullmatch(label):
            raise DataError(f"{path}, line {number}: {line!r}, but image {number - 1} is {name}; {_FIX}")
        labels.append(int(label))
    return labels


_FIX = "run preprocessing/make_train_val_txt.py again"
