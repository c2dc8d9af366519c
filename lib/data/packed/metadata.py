"""Classes, labels and mean image of a packed data set, checked against its manifest."""

import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...errors import DataError, reading
from ...system.npy import from_npy_bytes
from ...types import Split
from ..dataset import ClassName
from .layout import Layout
from .manifest import Manifest


def read_classes(at: Layout) -> list[ClassName]:
    """Return the classes by index. Raises DataError if the file is missing, damaged or out of order."""
    with reading(at.classes, DataError, "run preprocessing/make_train_val_txt.py"):
        classes = msgspec.json.decode(at.classes.read_bytes(), type=list[ClassName])
    if [c.index for c in classes] != list(range(len(classes))):
        raise DataError(f"{at.classes}: indices must count up from 0")
    return classes


def read_labels(at: Layout, manifest: Manifest, split: Split) -> NDArray[np.int64]:
    """Return the labels of one split, int64 (N,). Raises DataError if file and manifest disagree."""
    path = at.labels(split)
    labels = _load(path, manifest.split(split).labels_crc32, "run preprocessing/make_labels.py")
    count = manifest.split(split).count
    if labels.dtype != np.int64 or labels.shape != (count,):
        raise DataError(
            f"{path} holds {labels.dtype} {labels.shape} where the manifest says int64 ({count},); "
            "run preprocessing/make_labels.py again"
        )
    if count and (labels.min() < 0 or labels.max() >= manifest.n_classes):
        raise DataError(
            f"{path} has labels from {labels.min()} to {labels.max()}, but there are {manifest.n_classes} "
            f"classes, 0 to {manifest.n_classes - 1}; run preprocessing/make_labels.py again"
        )
    return labels


def read_mean(at: Layout, manifest: Manifest) -> NDArray[np.float32]:
    """Return the mean image, float32 (3, H, W). Raises DataError if file and manifest disagree."""
    mean = _load(at.mean, manifest.mean_crc32, "run preprocessing/generate_data.sh")
    shape = (3, manifest.img_size, manifest.img_size)
    if mean.dtype != np.float32 or mean.shape != shape:
        raise DataError(f"{at.mean} holds {mean.dtype} {mean.shape} where float32 {shape} should be")
    return mean


def _load(path: Path, crc32: int | None, fix: str) -> NDArray[Any]:
    """Return the array in a .npy file. Raises DataError if the file's checksum is not ``crc32`` (None: unknown)."""
    with reading(path, DataError, f"delete it and {fix} again" if path.exists() else fix):
        content = path.read_bytes()
        if crc32 not in (None, zlib.crc32(content)):
            raise ValueError("its checksum is not the manifest's")
        return from_npy_bytes(content)
