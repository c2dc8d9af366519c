"""Find where the pixels begin in a batch file, so that training need not parse HDF5."""

import zlib
from pathlib import Path

import h5py
import numpy as np

from ..errors import DataError, reading


def locate_pixels(path: Path, shape: tuple[int, int, int, int]) -> tuple[int, int]:
    """Return the byte at which the pixels of ``shape`` (B, H, W, 3) begin, and the CRC-32 of the bytes before it.

    Raises DataError unless the file holds one contiguous uint8 dataset "data" of this shape.
    """
    with reading(path, DataError, "put it back, or pack the images again"), h5py.File(path, "r") as file:
        dataset = file.get("data")
        if not isinstance(dataset, h5py.Dataset):
            raise DataError(f"{path} is not a batch file: it has no dataset 'data'")
        if dataset.dtype != np.uint8 or dataset.shape != shape:
            raise DataError(f"{path} holds {dataset.dtype} {dataset.shape} where uint8 {shape} should be")
        offset = None if dataset.external else dataset.id.get_offset()
    if not offset:
        raise DataError(f"{path} is chunked, compressed or external; rows can be read only from contiguous files")
    with path.open("rb") as opened:
        return int(offset), zlib.crc32(opened.read(offset))
