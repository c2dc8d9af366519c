"""The batch files as a source: hickle files, read row by row straight into the slot.

h5py opens each file once, to check it and to learn where in the file the pixels begin; from then on
``preadv`` puts rows where they are wanted, without a copy in between and without h5py's global lock.
"""

import errno
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from lib.data.layout import Layout, Manifest, Split, read_labels
from lib.data.verify import MAKE, MEND, refuse_damaged
from lib.errors import DataError

T = TypeVar("T")
# (file, first row in it, place in what was asked for, length) of rows that one call can read.
_Run: TypeAlias = tuple[int, int, int, int]
# Files kept open at once: enough to save the opening, few enough for any process limit.
_OPEN_FILES = 256
# Buffers one preadv call takes (Linux's IOV_MAX).
_MAX_BUFFERS = 1024


@dataclass(frozen=True, slots=True)
class _Open:
    descriptor: int
    offset: int


def pixel_offset(path: Path, shape: tuple[int, int, int, int]) -> int:
    """Where in a batch file the pixels of ``shape`` (B, H, W, 3) begin, in bytes.

    Raises DataError when the file is missing, not HDF5, or holds something else.
    """
    try:
        with h5py.File(path, "r") as file:
            data = file.get("data")
            if not isinstance(data, h5py.Dataset):
                raise DataError(f"{path} is no batch file: it has no dataset 'data'")
            if data.shape != shape or data.dtype != np.uint8:
                raise DataError(f"{path} holds {data.dtype} {data.shape} where the manifest says uint8 {shape}; {MEND}")
            offset = data.id.get_offset()
            if offset is None:
                raise DataError(f"{path} is chunked or compressed; rows can be read only from plain files")
            return int(offset)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {MAKE}") from None
    except OSError as error:
        raise DataError(f"{path} is not a readable HDF5 file ({error}); {MEND}") from None


class HickleBatches:
    """One split of a packed data set, read by ``readers`` threads."""

    def __init__(self, at: Layout, manifest: Manifest, split: Split, *, readers: int, verify: bool = False) -> None:
        """``verify``: compare each file with its checksum before the first of its rows is read."""
        files = manifest.split(split).files
        size = manifest.img_size
        self.file_counts = tuple(file.count for file in files)
        self.labels = read_labels(at, manifest, split)
        self._paths = [at.batch_dir(split, manifest.file_batch_size) / file.name for file in files]
        self._packed = files
        self._unverified = set(range(len(files))) if verify else set[int]()
        self._shape = (size, size, 3)
        self._starts = np.cumsum([0, *self.file_counts])
        self._open: OrderedDict[int, _Open] = OrderedDict()
        self._readers = readers
        self._pool = ThreadPoolExecutor(readers, "reader")

    def rows(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Read images ``indices`` (n,) into ``out`` (n, H, W, 3), C-contiguous. Raises DataError."""
        runs = list(self._runs(indices))
        # Opening stays on this thread (h5py has one lock), reading is shared out.
        files = {file: self._opened(file) for file in dict.fromkeys(file for file, *_ in runs)}
        try:
            self._verify([file for file in files if file in self._unverified])
            self._read_all(runs, files, out)
        except DataError:
            self._close(list(files))  # whoever tries again finds what lies there then
            raise
        self._close(list(self._open)[:-_OPEN_FILES])

    def close(self) -> None:
        self._pool.shutdown()
        self._close(list(self._open))

    def _runs(self, indices: NDArray[np.int64]) -> Iterator[_Run]:
        """Each stretch of ``indices`` that one call can read."""
        files = np.searchsorted(self._starts, indices, side="right") - 1
        broken = (np.diff(indices) != 1) | (np.diff(files) != 0)
        bounds = [0, *(np.flatnonzero(broken) + 1), len(indices)] if len(indices) else []
        for start, stop in pairwise(bounds):
            file = int(files[start])
            for at in range(int(start), int(stop), _MAX_BUFFERS):
                row = int(indices[at] - self._starts[file])
                yield file, row, at, min(int(stop) - at, _MAX_BUFFERS)

    def _verify(self, files: list[int]) -> None:
        self._share_out(files, lambda file: refuse_damaged(self._paths[file], self._packed[file]))
        self._unverified.difference_update(files)

    def _read_all(self, runs: list[_Run], files: dict[int, _Open], out: NDArray[np.uint8]) -> None:
        self._share_out(runs, lambda run: self._read(files[run[0]], *run, out))

    def _share_out(self, jobs: Sequence[T], do: Callable[[T], None]) -> None:
        """Let the readers ``do`` the jobs. Raises the first error, once all are at rest."""

        def do_some(part: Sequence[T]) -> None:
            for job in part:
                do(job)

        parts = [self._pool.submit(do_some, jobs[i :: self._readers]) for i in range(self._readers)]
        wait(parts)  # no slot is given back, and no file closed, while one of them reads
        for part in parts:
            part.result()

    def _read(self, file: _Open, number: int, row: int, place: int, length: int, out: NDArray[np.uint8]) -> None:
        row_bytes = int(np.prod(self._shape))
        buffers = [memoryview(out[place + i]).cast("B") for i in range(length)]
        position = file.offset + row * row_bytes
        while buffers:
            try:
                got = os.preadv(file.descriptor, buffers, position)
            except OSError as error:
                raise DataError(f"{self._paths[number]} cannot be read: {error.strerror}; {MEND}") from None
            if got == 0:
                raise DataError(f"{self._paths[number]} ends early; {MEND}")
            position += got
            buffers = _after(buffers, got)

    def _opened(self, file: int) -> _Open:
        if file in self._open:
            self._open.move_to_end(file)
        else:
            path = self._paths[file]
            descriptor = _open(path)
            try:
                offset = pixel_offset(path, (self.file_counts[file], *self._shape))
            except DataError:
                os.close(descriptor)
                raise
            self._open[file] = _Open(descriptor, offset)
        return self._open[file]

    def _close(self, files: list[int]) -> None:
        for file in files:
            os.close(self._open.pop(file).descriptor)


def _open(path: Path) -> int:
    """A descriptor, where h5py would only say that it cannot open the file. Raises DataError."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {MAKE}") from None
    except OSError as error:
        way_out = "; raise the limit: ulimit -n" if error.errno == errno.EMFILE else ""
        raise DataError(f"{path} cannot be opened: {error.strerror}{way_out}") from None


def _after(buffers: list[memoryview], got: int) -> list[memoryview]:
    """What is still to be filled once ``got`` bytes have arrived (a read may be cut short)."""
    while buffers and got >= len(buffers[0]):
        got -= len(buffers.pop(0))
    if buffers and got:
        buffers[0] = buffers[0][got:]
    return buffers
