"""The description of a data set: everything that training needs besides pixels and labels.

A source describes its data set once, before any process starts. Every process of the run gets this description, so that
all agree even if the files change.
"""

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError
from ..system.npy import read_npy
from ..system.terminal import print_stdout
from ..types import Split


class ClassName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A class. Its index is the rank of its folder name, ``wnid``; ``name`` is for people."""

    index: int
    wnid: str
    name: str


class DataSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A data set of square RGB images in two splits."""

    where: str
    """its name in messages, usually a folder"""

    img_size: int
    """side of every image, in pixels"""

    train_counts: tuple[int, ...]
    """training images in each file, in order; a single number if there are no files to shuffle"""

    val_counts: tuple[int, ...]
    """validation images in each file, in order"""

    classes: tuple[ClassName, ...]
    """by index"""

    fingerprint: str
    """identifies the content: equal for equal images in equal order"""

    resize: Literal["squash", "crop"] = "squash"
    """how images were made square"""

    mean_image: Path | None = None
    """a .npy file of the mean of the training images, (3, H, W)"""

    mean_color: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """the mean of every pixel, if there is no ``mean_image``"""

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def file_counts(self, split: Split) -> tuple[int, ...]:
        """Return the number of images in each file of ``split``, in order."""
        return self.train_counts if split == "train" else self.val_counts

    def count(self, split: Split) -> int:
        """Return the number of images in ``split``."""
        return sum(self.file_counts(split))


def read_mean_image(data: DataSet) -> NDArray[np.float32]:
    """Return the mean of the training images, float32 (3, H, W). Raises DataError."""
    shape = (3, data.img_size, data.img_size)
    if data.mean_image is None:
        return np.tile(np.array(data.mean_color, np.float32)[:, None, None], shape[1:])
    path = data.mean_image
    mean = read_npy(path, DataError, "delete it and start again")
    if mean.shape != shape or mean.dtype.kind != "f":
        raise DataError(f"{path} holds {mean.dtype} {mean.shape} where floats of shape {shape} should be")
    return mean.astype(np.float32)


def check_batch_size(data: DataSet, *, batch_size: int, world_size: int, accumulate: int) -> None:
    """Raise ConfigError if one iteration, or one update, would take more images than the training split has."""
    total, count = batch_size * world_size, data.count("train")
    if total > count:
        raise ConfigError(
            f"batch_size {batch_size} x {world_size} workers is {total} images an iteration, "
            f"but {data.where} has {count} training images; lower batch_size"
        )
    if total * accumulate > count:
        raise ConfigError(
            f"optimizer.accumulate {accumulate} makes {total * accumulate} images an update, but {data.where} "
            f"has {count} training images; lower it"
        )


def numbered_classes(count: int) -> tuple[ClassName, ...]:
    """Return ``count`` classes without names of their own."""
    digits = len(str(max(count - 1, 0)))
    return tuple(ClassName(i, f"{i:0{digits}d}", f"class {i}") for i in range(count))


def named_classes(names: tuple[str, ...]) -> tuple[ClassName, ...]:
    """Return classes whose names in the data set are readable."""
    return tuple(ClassName(i, name, name) for i, name in enumerate(names))


def warn_of_empty_classes(labels: NDArray[np.int64], n_classes: int, where: str) -> None:
    """Print a warning if there are classes without a training image, as with labels that begin at 1 or have gaps."""
    empty = np.flatnonzero(np.bincount(labels, minlength=n_classes) == 0)
    if len(empty):
        print_stdout(
            f"warning: {where}: {len(empty):,} of {n_classes:,} classes are without a training image, the first is "
            f"{empty[0]}; labels should be 0, 1, 2, ...",
        )


def check_labels(labels: NDArray[np.int64], n_classes: int, where: str) -> None:
    """Raise DataError if a label is not the number of a class."""
    if len(labels) and not 0 <= labels.min() <= labels.max() < n_classes:
        raise DataError(
            f"{where} has labels from {labels.min()} to {labels.max()}, but there are {n_classes} classes, "
            f"0 to {n_classes - 1}"
        )
