"""``data.source: mnist``: the published IDX files, 28 x 28, packed (.gz) or not; grey becomes RGB.

    train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte

Source: http://yann.lecun.com/exdb/mnist
"""

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lib.data.sources.array_dataset import Images, array_dataset, read_file
from lib.errors import DataError
from lib.types import Split

_UBYTE = 0x08
# Twice what the largest of this format hold, the 814,255 images of EMNIST.
_MOST_BYTES = 1 << 30


def _read(dir: Path, split: Split) -> Images:
    prefix = "train" if split == "train" else "t10k"
    grey, labels = _idx(dir / f"{prefix}-images-idx3-ubyte", 3), _idx(dir / f"{prefix}-labels-idx1-ubyte", 1)
    if len(grey) != len(labels) or not len(grey):
        raise DataError(f"{dir} has {len(grey)} {split} images of MNIST, but {len(labels)} labels")
    return np.repeat(grey[..., None], 3, axis=3), labels.astype(np.int64)


def _idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """The array in an IDX file: two zero bytes, type, number of axes, each length as 4 bytes, the numbers."""
    packed = path.with_name(f"{path.name}.gz")
    if path.exists() or not packed.exists():
        return _parsed(io.BytesIO(read_file(path, "MNIST")), path, axes)
    try:
        with gzip.open(io.BytesIO(read_file(packed, "MNIST"))) as unpacked:
            return _parsed(unpacked, path, axes)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{packed} cannot be unpacked ({error}); fetch it again") from None


def _parsed(file: io.BufferedIOBase, path: Path, axes: int) -> NDArray[np.uint8]:
    """Of what unpacks to more than its header says no more is unpacked than shows that."""
    header = file.read(4 + 4 * axes)
    if header[:4] != bytes((0, 0, _UBYTE, axes)) or len(header) < 4 + 4 * axes:
        raise DataError(f"{path} is no IDX file of bytes with {axes} axes")
    shape = tuple(int(length) for length in np.frombuffer(header, ">u4", axes, 4))
    expected = math.prod(shape)
    if expected > _MOST_BYTES:
        most = f"more than the {_MOST_BYTES:,} that are read"
        raise DataError(f"{path} should hold {shape} bytes, {most}; fetch it again")
    numbers = np.frombuffer(file.read(expected + 1), np.uint8)
    if len(numbers) != expected:
        found = f"{len(numbers):,}" if len(numbers) < expected else "more"
        raise DataError(f"{path} should hold {shape} bytes, but has {found}; fetch it again")
    return numbers.reshape(shape)


MNIST = array_dataset("mnist", _read, lambda dir: tuple("0123456789"))
