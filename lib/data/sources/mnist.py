"""``data.source: mnist``: the published IDX files, 28 x 28, gzipped or not. Gray images become RGB.

    train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte

Source: http://yann.lecun.com/exdb/mnist
"""

import gzip
import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError, reading
from ...types import Split
from ..images.decode import MAX_SIDE
from .array_dataset import Images, array_dataset, read_file

_UBYTE = 0x08
# Twice the largest file of this format, the 814,255 images of EMNIST.
_MAX_BYTES = 1 << 30


def _read(dir: Path, split: Split) -> Images:
    prefix = "train" if split == "train" else "t10k"
    gray, labels = _idx(dir / f"{prefix}-images-idx3-ubyte", 3), _idx(dir / f"{prefix}-labels-idx1-ubyte", 1)
    if len(gray) != len(labels) or not len(gray):
        raise DataError(f"{dir} has {len(gray)} {split} images of MNIST, but {len(labels)} labels")
    return np.repeat(gray[..., None], 3, axis=3), labels.astype(np.int64)


def _idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Return the array in an IDX file, or in its gzipped form. Raises DataError."""
    packed = path.with_name(f"{path.name}.gz")
    if path.exists() or not packed.exists():
        return _parse(io.BytesIO(read_file(path, "MNIST")), path, axes)
    content = read_file(packed, "MNIST")
    with reading(packed, DataError, "download it again"), gzip.open(io.BytesIO(content)) as unpacked:
        return _parse(unpacked, path, axes)


def _parse(file: io.BufferedIOBase, path: Path, axes: int) -> NDArray[np.uint8]:
    """Return the array in ``file``: two zero bytes, type, number of axes, each length as 4 bytes, the values.

    Reads no more than the header announces and one byte, so a gzip bomb is not unpacked.
    """
    header = file.read(4 + 4 * axes)
    if header[:4] != bytes((0, 0, _UBYTE, axes)) or len(header) < 4 + 4 * axes:
        raise DataError(f"{path} is not an IDX file of bytes with {axes} axes")
    shape = tuple(int(length) for length in np.frombuffer(header, ">u4", axes, 4))
    expected = math.prod(shape)
    if expected > _MAX_BYTES or max(shape[1:], default=0) > MAX_SIDE:
        limits = f"{_MAX_BYTES:,} bytes and {MAX_SIDE:,} pixels a side"
        raise DataError(f"{path} should hold {shape} bytes, beyond the limits of {limits}; download it again")
    values = np.frombuffer(file.read(expected + 1), np.uint8)
    if len(values) != expected:
        found = f"{len(values):,}" if len(values) < expected else "more"
        raise DataError(f"{path} should hold {shape} bytes, but has {found}; download it again")
    return values.reshape(shape)


MNIST = array_dataset("mnist", _read, lambda dir: tuple("0123456789"))
