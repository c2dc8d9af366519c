"""What the worker processes do: decode images, write a batch file, and sum the images of one."""

import os
from pathlib import Path

import h5py
import hickle
import msgspec
import numpy as np
from numpy.typing import NDArray

from ..data.images.decode import Resize, decode
from ..data.images.listing import ImageFile
from ..data.packed.manifest import BatchFile
from ..errors import DataError
from ..system.atomic_write import atomic_path
from ..system.checksum import file_crc32
from .buffers import SharedBuffers
from .listing import read_image
from .offsets import locate_pixels

# This many bytes of 255 fit into 16 bits.
_SUMMANDS = 257


class DecodeChunk(msgspec.Struct, frozen=True, tag=True):
    """Decode up to CHUNK images into a chunk. Its result is None for each, or the reason why it is broken."""

    chunk: int
    root: str
    entries: list[ImageFile]
    resize: Resize

    def run(self, buffers: SharedBuffers) -> list[str | None]:
        """Run the task."""
        images_BHWC = buffers.chunks[self.chunk]
        reasons: list[str | None] = []
        for row, entry in enumerate(self.entries):
            data = read_image(Path(self.root), entry)
            try:
                images_BHWC[row] = decode(data, buffers.img_size, self.resize)
                reasons.append(None)
            except DataError as error:
                reasons.append(str(error))
        return reasons

    def __str__(self) -> str:
        return f"the decoding of {self.entries[0].name} to {self.entries[-1].name}"


class WrittenFile(msgspec.Struct, frozen=True):
    """A finished batch file."""

    file: BatchFile
    total: bytes
    """the sum over its images, int64 (H, W, 3), if it was asked for"""


class WriteFile(msgspec.Struct, frozen=True, tag=True):
    """Write the first ``count`` images of a file buffer atomically. Its result is a ``WrittenFile``."""

    buffer: int
    path: str
    count: int
    source_start: int
    source_stop: int
    sum_images: bool

    def run(self, buffers: SharedBuffers) -> WrittenFile:
        """Run the task."""
        images_BHWC = buffers.files[self.buffer][: self.count]
        path = Path(self.path)
        try:
            with atomic_path(path) as partial:
                hickle.dump(images_BHWC, str(partial), mode="w")
                offset, header_crc32 = locate_pixels(partial, images_BHWC.shape)
                with partial.open("rb") as opened:
                    size, crc32 = os.fstat(opened.fileno()).st_size, file_crc32(opened)
        except (OSError, RuntimeError) as error:  # HDF5 raises either if the disk is full
            raise DataError(
                f"{path} cannot be written: {error}; make room and start again: packing continues where it stopped"
            ) from None
        file = BatchFile(
            name=path.name,
            count=self.count,
            bytes=size,
            crc32=crc32,
            source_start=self.source_start,
            source_stop=self.source_stop,
            offset=offset,
            header_crc32=header_crc32,
        )
        return WrittenFile(file, _sum(images_BHWC).tobytes() if self.sum_images else b"")

    def __str__(self) -> str:
        return f"the writing of {self.path}"


class SumImages(msgspec.Struct, frozen=True, tag=True):
    """Sum the images of a finished file. Its result is int64 (H, W, 3) as bytes, or none if the file is damaged."""

    path: str
    crc32: int

    def run(self, buffers: SharedBuffers) -> bytes:
        """Run the task."""
        with Path(self.path).open("rb") as opened:
            if file_crc32(opened) != self.crc32:
                return b""
        with h5py.File(self.path) as file:
            return _sum(file["data"][...]).tobytes()

    def __str__(self) -> str:
        return f"the reading of {self.path}"


PackingTask = DecodeChunk | WriteFile | SumImages


def _sum(images_BHWC: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the sum over the images, int64 (H, W, 3)."""
    total_HWC = np.zeros(images_BHWC.shape[1:], np.int64)
    for start in range(0, len(images_BHWC), _SUMMANDS):  # takes a quarter of the time of adding to 64 bits
        total_HWC += images_BHWC[start : start + _SUMMANDS].sum(0, dtype=np.uint16)
    return total_HWC
