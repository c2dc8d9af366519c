"""What the worker processes do: decode pictures, write a batch file, add one up."""

import os
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import hickle
import numpy as np
from numpy.typing import NDArray

from lib.data.images.decode import Resize, decode
from lib.data.images.listing import ImageFile, read_image
from lib.data.packed.batch_file import read_images
from lib.data.packed.layout import BatchFile
from lib.errors import DataError
from preprocessing.files import partial
from preprocessing.shared import SharedBuffer

CHUNK = 16  # pictures decoded in one task: long enough to hide the telling, short enough to stay in order
_PIECE_BYTES = 1 << 20
_SUMMANDS = 257  # so many bytes of 255 are what 16 bits can hold


@dataclass(frozen=True)
class SharedBuffers:
    """The memory on which the main process and its workers pass pictures."""

    img_size: int
    file_batch_size: int
    n_chunks: int
    n_files: int
    chunk_memory: SharedBuffer
    file_memory: SharedBuffer

    def chunk(self, number: int) -> NDArray[np.uint8]:
        """Place ``number`` for freshly decoded pictures, uint8 (CHUNK, H, W, 3)."""
        shape = (self.n_chunks, CHUNK, self.img_size, self.img_size, 3)
        images_BHWC: NDArray[np.uint8] = self.chunk_memory.images(*shape)[number]
        return images_BHWC

    def file(self, number: int) -> NDArray[np.uint8]:
        """Place ``number`` for a file that is being filled or written, uint8 (B, H, W, 3)."""
        shape = (self.n_files, self.file_batch_size, self.img_size, self.img_size, 3)
        images_BHWC: NDArray[np.uint8] = self.file_memory.images(*shape)[number]
        return images_BHWC

    def close(self) -> None:
        self.chunk_memory.close()
        self.file_memory.close()


def allocate_buffers(img_size: int, file_batch_size: int, n_workers: int) -> SharedBuffers:
    """Memory enough to keep ``n_workers`` busy."""
    n_chunks, n_files = 4 * n_workers, 2 + n_workers // 4
    image = img_size * img_size * 3
    return SharedBuffers(
        img_size=img_size,
        file_batch_size=file_batch_size,
        n_chunks=n_chunks,
        n_files=n_files,
        chunk_memory=SharedBuffer(n_chunks * CHUNK * image),
        file_memory=SharedBuffer(n_files * file_batch_size * image),
    )


@dataclass(frozen=True)
class DecodeChunk:
    """Decode up to CHUNK pictures into a chunk. Gives None for each, or the reason why it is broken."""

    chunk: int
    root: Path
    entries: list[ImageFile]
    resize: Resize

    def run(self, buffers: SharedBuffers) -> list[str | None]:
        images_BHWC = buffers.chunk(self.chunk)
        reasons: list[str | None] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
            for row, entry in enumerate(self.entries):
                data = read_image(self.root, entry)
                try:
                    images_BHWC[row] = decode(data, buffers.img_size, self.resize)
                    reasons.append(None)
                except DataError as error:
                    reasons.append(str(error))
        return reasons

    def __str__(self) -> str:
        return f"the decoding of {self.entries[0].name} to {self.entries[-1].name}"


@dataclass(frozen=True)
class Written:
    """A finished batch file, and the sum over its images, int64 (H, W, 3), where it was asked for."""

    file: BatchFile
    total: NDArray[np.int64] | None


@dataclass(frozen=True)
class Write:
    """Write the first ``count`` images of a file place: aside, to the disk, and renamed."""

    place: int
    path: Path
    count: int
    source_start: int
    source_stop: int
    sum_images: bool

    def run(self, buffers: SharedBuffers) -> Written:
        images_BHWC = buffers.file(self.place)[: self.count]
        aside = partial(self.path)
        try:
            hickle.dump(images_BHWC, str(aside), mode="w")
            with aside.open("rb") as file:
                os.fsync(file.fileno())
                size, crc32 = _size_and_crc32(file)
            aside.replace(self.path)
        except (OSError, RuntimeError) as error:  # HDF5 has both for a full disk
            aside.unlink(missing_ok=True)
            raise DataError(
                f"{self.path} cannot be written: {error}; once there is room, start again: it goes on"
            ) from None
        file_entry = BatchFile(
            name=self.path.name,
            count=self.count,
            bytes=size,
            crc32=crc32,
            source_start=self.source_start,
            source_stop=self.source_stop,
        )
        return Written(file_entry, _total(images_BHWC) if self.sum_images else None)

    def __str__(self) -> str:
        return f"the writing of {self.path}"


@dataclass(frozen=True)
class SumImages:
    """The sum over the images of a finished file, int64 (H, W, 3), or None when its bytes are not right."""

    path: Path
    crc32: int

    def run(self, buffers: SharedBuffers) -> NDArray[np.int64] | None:
        with self.path.open("rb") as raw:
            if _size_and_crc32(raw)[1] != self.crc32:
                return None
        return _total(read_images(self.path))

    def __str__(self) -> str:
        return f"the reading of {self.path}"


def _size_and_crc32(file: BinaryIO) -> tuple[int, int]:
    """Of a whole file, read piece by piece: memory that is used again is in the processor's cache."""
    crc32, piece = 0, memoryview(bytearray(_PIECE_BYTES))
    while got := file.readinto(piece):  # type: ignore[attr-defined]  # typeshed gives it to no general binary file
        crc32 = zlib.crc32(piece[:got], crc32)
    return file.tell(), crc32


def _total(images_BHWC: NDArray[np.uint8]) -> NDArray[np.int64]:
    total_HWC = np.zeros(images_BHWC.shape[1:], np.int64)
    for start in range(0, len(images_BHWC), _SUMMANDS):  # a quarter of the time that adding to 64 bits takes
        total_HWC += images_BHWC[start : start + _SUMMANDS].sum(0, dtype=np.uint16)
    return total_HWC
