"""A batch file by itself: opening it, and where in it the pixels begin."""

import errno
import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lib.data.packed.hdf5 import Array, Hdf5Error, find_array
from lib.data.packed.verify import FIX, MAKE
from lib.errors import DataError


def open_batch_file(path: Path) -> int:
    """A descriptor for reading. Raises DataError."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {MAKE}") from None
    except OSError as error:
        fix = "; raise the limit: ulimit -n" if error.errno == errno.EMFILE else ""
        raise DataError(f"{path} cannot be opened: {error.strerror}{fix}") from None


def pixel_offset(path: Path, shape: tuple[int, int, int, int]) -> int:
    """Where in a batch file the pixels of ``shape`` (B, H, W, 3) begin, in bytes.

    Raises DataError when the file is missing, not HDF5 as hickle writes it, or holds something else.
    """
    descriptor = open_batch_file(path)
    try:
        return pixels_begin(descriptor, path, shape)
    finally:
        os.close(descriptor)


def pixels_begin(descriptor: int, path: Path, shape: tuple[int, int, int, int]) -> int:
    """As ``pixel_offset``, of a file that is open; ``path`` is for errors only."""
    array = _array(descriptor, path)
    if (array.dtype, array.shape) != ("uint8", shape):
        raise DataError(f"{path} holds {array.dtype} {array.shape} where the manifest says uint8 {shape}; {FIX}")
    if array.offset is None:
        raise DataError(f"{path} is chunked or compressed; rows can be read only from plain files")
    size, end = os.fstat(descriptor).st_size, array.offset + math.prod(shape)
    if end > size:
        raise DataError(f"{path} ends early: it has {size:,} bytes, and its images go to byte {end:,}; {FIX}")
    return array.offset


def read_images(path: Path) -> NDArray[np.uint8]:
    """All images of a batch file, uint8 (B, H, W, 3). Raises DataError."""
    descriptor = open_batch_file(path)
    try:
        shape = _array(descriptor, path).shape
        if len(shape) != 4 or math.prod(shape) > os.fstat(descriptor).st_size:
            raise DataError(f"{path} holds {shape} where images should be; {FIX}")
        offset = pixels_begin(descriptor, path, (shape[0], shape[1], shape[2], shape[3]))
        return np.fromfile(path, np.uint8, math.prod(shape), offset=offset).reshape(shape)
    finally:
        os.close(descriptor)


def _array(descriptor: int, path: Path) -> Array:
    """The dataset "data". Raises DataError where there is none."""

    def read(address: int, count: int) -> bytes:
        content = os.pread(descriptor, count, address) if address < 1 << 62 else b""
        if len(content) < count:
            raise Hdf5Error("it ends early, or leads nowhere")
        return content

    try:
        array = find_array(read, "data")
    except (Hdf5Error, OSError) as error:
        raise DataError(f"{path} is not a readable HDF5 file ({error}); {FIX}") from None
    if array is None:
        raise DataError(f"{path} is no batch file: it has no dataset 'data'")
    return array
