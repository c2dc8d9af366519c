"""The batch files of theano_alexnet, read as they are.

    DIR/train_hkl_b256_b_256/0000.hkl               uint8 (3, H, W, B), RGB: image-minor
    DIR/train_hkl_b256_b_128/0000_0.hkl, 0000_1.hkl or the same images, split for two workers
    DIR/labels/train_labels.npy                     in the order of the files;
               train_labels_0.npy, train_labels_1.npy   one for each part of a split data set
    DIR/misc/img_mean.npy                           (3, H, W)

The pixels of one image are scattered over its file. A file is therefore read whole and transposed once, and images can
be shuffled only by files. Any number of workers reads either form.
"""

import contextlib
import itertools
import re
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, DataError, reading
from ...system.npy import read_npy
from ...types import Split
from ..class_names import classes_of_numbers
from ..dataset import DataSet, check_labels, read_mean_image, warn_of_empty_classes
from ..index import fingerprint
from ..packed.layout import Layout
from .base import SynchronousSource

# Consecutive batches share a file.
_CACHED_FILES = 2
_NAME = re.compile(r"(?P<number>\d{4,})(?:_(?P<part>[01]{1,3}))?")


def is_data_set(at: Layout) -> bool:
    """Return whether the folder holds a data set of theano_alexnet."""
    return bool(_folders(at, "train"))


def describe(at: Layout, shuffle: str) -> DataSet:
    """Check the data set and return its description.

    Raises DataError if a file, labels or the mean image are missing, and ConfigError if ``shuffle`` is ``images``.
    """
    if shuffle == "images":
        raise ConfigError(
            f"{at.dir} holds files of theano_alexnet, whose images cannot be read one by one; "
            "set data.shuffle to files, or pack the images again with preprocessing/generate_data.sh"
        )
    shapes = {split: [_shape(path) for path in files(at, split)] for split in ("train", "val")}
    sizes = {shape[1] for both in shapes.values() for shape in both}
    if len(sizes) != 1:
        raise DataError(f"{at.dir} holds images of different sizes: {', '.join(map(str, sorted(sizes)))} pixels")
    counts: dict[Split, tuple[int, ...]] = {
        "train": tuple(shape[3] for shape in shapes["train"]),
        "val": tuple(shape[3] for shape in shapes["val"]),
    }
    for split, per_file in counts.items():
        for path, count, following in zip(files(at, split), per_file, per_file[1:], strict=False):
            if count < following:
                raise DataError(f"{path} holds {count} images, but the file after it {following}; copy it again")
    labels = {split: read_labels(at, split, per_file) for split, per_file in counts.items()}
    n_classes = int(labels["train"].max()) + 1
    for split in counts:
        check_labels(labels[split], n_classes, f"{at.dir / 'labels'}: {split}")
    classes = classes_of_numbers(at, n_classes)
    warn_of_empty_classes(labels["train"], n_classes, str(at.dir / "labels"))
    described = DataSet(
        where=str(at.dir),
        img_size=sizes.pop(),
        train_counts=counts["train"],
        val_counts=counts["val"],
        classes=classes,
        fingerprint=fingerprint("theano_alexnet", counts, [zlib.crc32(labels[split].data) for split in counts]),
        mean_image=at.mean,
    )
    read_mean_image(described)
    return described


def files(at: Layout, split: Split | str) -> list[Path]:
    """Return the split's batch files in order. If there are several forms, take the one with the fewest files.

    Labels belong to files by their order alone, so DataError is raised if one is missing or has another name.
    """
    folders = _folders(at, split)
    if not folders:
        raise DataError(f"{at.dir} has {split}_hkl_* files of theano_alexnet for training only, none for {split}")
    folder = min(folders, key=lambda folder: len(_batch_files(folder)))
    found = _batch_files(folder)
    names = [_NAME.fullmatch(path.stem) for path in found]
    if None in names:
        raise DataError(f"{found[names.index(None)]} is not named like a batch file of theano_alexnet; remove it")
    last = max(int(name["number"]) for name in names if name)
    bits = max(len(name["part"] or "") for name in names if name)
    parts = ["".join(part) for part in itertools.product("01", repeat=bits)]  # 4 parts: 00, 01, 10, 11
    expected = [f"{number:04d}{part and '_' + part}.hkl" for number in range(last + 1) for part in parts]
    if wrong := sorted(set(expected) ^ {path.name for path in found}):
        missing = [name for name in wrong if name in expected]
        raise DataError(
            f"{len(missing)} of {len(expected)} batch files are missing from {folder}, the first is {missing[0]}, and "
            "without them labels would belong to other images; copy them again"
            if missing
            else f"{folder / wrong[0]} is not a part of this data set; remove it"
        )
    return found


def read_labels(at: Layout, split: Split, counts: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the labels in the order of ``files``, int64 (N,).

    Raises DataError unless files and labels end together. theano_alexnet has labels but no file for a last batch that
    is not full, so labels for less than one more file may be left.
    """
    remaining: dict[Path, NDArray[np.int64]] = {}
    found = []
    for path, count in zip(files(at, split), counts, strict=True):
        part = path.stem.partition("_")[2]
        source = at.dir / "labels" / f"{split}_labels{part and '_' + part}.npy"
        labels = remaining[source] if source in remaining else _load_labels(source)
        if len(labels) < count:
            raise DataError(f"{source} has too few labels: {len(labels)} are left for the {count} images of {path}")
        found.append(labels[:count])
        remaining[source] = labels[count:]
    for source, labels in remaining.items():
        if len(labels) >= counts[0]:
            raise DataError(
                f"{source} has {len(labels):,} labels for which there are no {split} images; copy the missing batch "
                "files again, or remove these labels from its end"
            )
    return np.concatenate(found)


class TheanoBatches(SynchronousSource):
    """One split of a data set of theano_alexnet."""

    def __init__(self, at: Layout, data: DataSet, split: Split) -> None:
        self._files, counts = files(at, split), data.file_counts(split)
        self.labels = read_labels(at, split, counts)
        self._starts = np.cumsum([0, *counts])
        self._cache: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()

    def read(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Read images ``indices`` (n,) into ``out`` (n, H, W, 3). Raises DataError."""
        numbers = np.searchsorted(self._starts, indices, side="right") - 1
        for number in dict.fromkeys(numbers.tolist()):
            places = np.flatnonzero(numbers == number)
            out[places] = self._images(number)[indices[places] - self._starts[number]]

    def close(self) -> None:
        """Release the cached images."""
        self._cache.clear()

    def _images(self, number: int) -> NDArray[np.uint8]:
        """Return the images (B, H, W, 3) of one file."""
        if number not in self._cache:
            with _dataset(self._files[number]) as dataset:
                self._cache[number] = np.ascontiguousarray(dataset[...].transpose(3, 1, 2, 0))
            while len(self._cache) > _CACHED_FILES:
                self._cache.popitem(last=False)
        return self._cache[number]


def _folders(at: Layout, split: str) -> list[Path]:
    return sorted(folder for folder in at.dir.glob(f"{split}_hkl_b*_b_*") if _batch_files(folder))


def _batch_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.hkl") if not path.name.startswith("."))


def _load_labels(path: Path) -> NDArray[np.int64]:
    labels = read_npy(path, DataError, "make_labels.py of theano_alexnet writes it")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{path} holds {labels.dtype} {labels.shape} where one integer an image should be")
    return labels.astype(np.int64)


def _shape(path: Path) -> tuple[int, ...]:
    with _dataset(path) as dataset:
        shape: tuple[int, ...] = dataset.shape
        return shape


@contextlib.contextmanager
def _dataset(path: Path) -> Iterator[h5py.Dataset]:
    """Open the file's only uint8 (3, H, H, B) dataset, whose name depends on the version of hickle."""
    with reading(path, DataError, "copy it again"), h5py.File(path, "r") as file:
        found: list[h5py.Dataset] = []
        file.visititems(lambda name, item: found.append(item) if _is_batch(item) else None)
        if len(found) != 1:
            raise DataError(f"{path} is not a batch file of theano_alexnet: it has no uint8 dataset (3, H, H, B)")
        yield found[0]


def _is_batch(item: Any) -> bool:
    if not isinstance(item, h5py.Dataset) or item.dtype != np.uint8 or len(item.shape) != 4:
        return False
    return bool(item.shape[0] == 3 and item.shape[1] == item.shape[2])
