"""A base for small published data sets: one or two files a split, which are read into memory."""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...config.schema import DataConfig
from ...errors import DataError, reading
from ...types import SPLITS, Split
from ..cache import describe_with_mean
from ..cache_choice import Cache
from ..dataset import DataSet, check_labels, named_classes, warn_of_empty_classes
from ..index import fingerprint
from ..worker_count import readers
from .base import Source, SourceKind, Warn
from .in_memory import InMemory

Images = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""images (N, H, W, 3) and labels (N,)"""


def array_dataset(
    name: str,
    read: Callable[[Path, Split], Images],
    class_names: Callable[[Path], tuple[str, ...]],
) -> SourceKind:
    """Return the source of a data set that ``read`` and ``class_names`` load from ``data.dir``."""

    def describe(data: DataConfig) -> DataSet:
        classes = class_names(data.dir)
        counts, checksums = dict[Split, int](), []
        for split in SPLITS:
            images, labels = read(data.dir, split)
            check_labels(labels, len(classes), f"{data.dir}: {split}")
            if split == "train":
                warn_of_empty_classes(labels, len(classes), str(data.dir))
            counts[split] = len(labels)
            checksums += [zlib.crc32(images.data), zlib.crc32(labels.data)]
        return describe_with_mean(
            data,
            counts=counts,
            classes=named_classes(classes),
            fingerprint=fingerprint(name, list(counts.values()), checksums, data.img_size, data.resize),
            open_split=open_split,
        )

    def open_split(data: DataConfig, described: DataSet, split: Split, warn: Warn) -> Source:
        images, labels = read(data.dir, split)
        return InMemory(images, labels, img_size=data.img_size, resize=data.resize, threads=readers(data.readers))

    return SourceKind(describe=describe, open=open_split, speed_advice=_speed_advice)


def _speed_advice(data: DataConfig, cache: Cache) -> str:
    lower = f"lower data.img_size (now {data.img_size})"
    if data.readers == "auto":
        return lower
    return f"raise data.readers (now {data.readers}), which resize the images to data.img_size, or {lower}"


def read_file(path: Path, name: str) -> bytes:
    """Return the bytes of a published file of data set ``name``. Raises DataError."""
    with reading(path, DataError, f"name the folder that holds the unpacked binary files of {name} with --data.dir"):
        return path.read_bytes()


def read_names(path: Path, name: str, count: int) -> tuple[str, ...]:
    """Return the class names in ``path``, one a line. Raises DataError unless there are ``count``."""
    lines = read_file(path, name).decode("utf-8-sig", errors="replace").split("\n")
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) != count:
        raise DataError(f"{path} names {len(names)} classes where {name} has {count}")
    return names


def concatenate(parts: Sequence[Images]) -> Images:
    """Return the images and labels of several files as one array each."""
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels)
