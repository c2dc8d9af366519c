"""``data.source: mnist``: the published IDX files, 28 x 28, packed (.gz) or not; grey becomes RGB.

    train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte

Source: http://yann.lecun.com/exdb/mnist
"""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lib.data.layout import Split
from lib.data.published import Images, published, read_file
from lib.errors import DataError

_UBYTE = 0x08


def _read(dir: Path, split: Split) -> Images:
    prefix = "train" if split == "train" else "t10k"
    grey, labels = _idx(dir / f"{prefix}-images-idx3-ubyte", 3), _idx(dir / f"{prefix}-labels-idx1-ubyte", 1)
    if len(grey) != len(labels) or not len(grey):
        raise DataError(f"{dir} has {len(grey)} {split} images of MNIST, but {len(labels)} labels")
    return np.repeat(grey[..., None], 3, axis=3), labels.astype(np.int64)


def _idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """The array in an IDX file: two zero bytes, type, number of axes, each length as 4 bytes, the numbers."""
    data = _unpacked(path)
    header = 4 + 4 * axes
    if data[:4] != bytes((0, 0, _UBYTE, axes)) or len(data) < header:
        raise DataError(f"{path} is no IDX file of bytes with {axes} axes")
    shape = tuple(int(length) for length in np.frombuffer(data, ">u4", axes, 4))
    numbers = np.frombuffer(data, np.uint8, offset=header)
    if len(numbers) != np.prod(shape):
        raise DataError(f"{path} should hold {shape} bytes, but has {len(numbers):,}; fetch it again")
    return numbers.reshape(shape)


def _unpacked(path: Path) -> bytes:
    packed = path.with_name(f"{path.name}.gz")
    if path.exists() or not packed.exists():
        return read_file(path, "MNIST")
    try:
        return gzip.decompress(read_file(packed, "MNIST"))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{packed} cannot be unpacked ({error}); fetch it again") from None


MNIST = published("mnist", _read, lambda dir: tuple("0123456789"))
