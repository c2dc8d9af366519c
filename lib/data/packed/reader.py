"""The batch files as a source: hickle files, read row by row straight into the slot.

Each file's header is read once, to check it and to learn where in the file the pixels begin; from then on
``preadv`` puts rows where they are wanted, without a copy in between. Between two of these calls a reader holds
Python's lock for a microsecond or two: that, too, bounds how fast several can be.
"""

import os
import resource
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from lib.data.packed.batch_file import open_batch_file, pixels_begin
from lib.data.packed.layout import Layout, Manifest, read_labels
from lib.data.packed.verify import FIX, LOOK, refuse_damaged
from lib.data.sources.base import PendingRead
from lib.errors import DataError
from lib.types import Split

T = TypeVar("T")
# (file, first row in it, place in what was asked for, length) of rows that one call can read.
_Run: TypeAlias = tuple[int, int, int, int]
# The share of the process's limit of open files that one split may take: enough for all of ImageNet's, as a rule.
_SHARE_OF_OPEN_FILES = 0.4
# A reader that is slower than this does not read from memory.
_MEMORY_BYTES_PER_S = 1e9


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
        self._open: OrderedDict[int, int] = OrderedDict()  # descriptors, the last used last
        self._offsets: dict[int, int] = {}  # of all files that were ever opened
        self._most_open = int(_SHARE_OF_OPEN_FILES * resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._row_bytes = 3 * size**2
        self._from_disk = False
        self._readers = readers
        self._at_work: set[Future[float]] = set()
        self._pool = ThreadPoolExecutor(readers, "reader")

    def read(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Read images ``indices`` (n,) into ``out`` (n, H, W, 3), C-contiguous. Raises DataError."""
        self.begin_read(indices, out)()

    def begin_read(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> PendingRead:
        """As ``rows``, begun at once: what comes back waits until it is done. Both raise DataError."""
        runs = self._runs(indices)
        files = list(dict.fromkeys(file for file, *_ in runs))
        self._make_room(files)
        try:
            for file in files:
                self._make_open(file)
            self._verify([file for file in files if file in self._unverified])
        except DataError:
            self._forget(files)
            raise
        if self._from_disk:
            self._announce(runs)
        reading = self._share_out(
            runs, partial(self._read_run, out=out.data.cast("B") if len(out) else memoryview(b""))
        )

        def finish() -> None:
            try:
                seconds = self._done(reading)
            except DataError:
                self._forget(files)
                raise
            self._from_disk = out.nbytes < seconds * _MEMORY_BYTES_PER_S

        return finish

    def close(self) -> None:
        self._pool.shutdown()
        self._close(list(self._open))

    def _runs(self, indices: NDArray[np.int64]) -> list[_Run]:
        """The stretches of ``indices`` that lie one after the other in a file."""
        files = np.searchsorted(self._starts, indices, side="right") - 1
        broken = (np.diff(indices) != 1) | (np.diff(files) != 0)
        places = np.flatnonzero(np.concatenate([[True], broken]))[: len(indices)]
        lengths = np.diff(places, append=len(indices))
        rows = indices[places] - self._starts[files[places]]
        columns = (files[places], rows, places, lengths)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def _verify(self, files: list[int]) -> None:
        self._done(self._share_out(files, lambda file: refuse_damaged(self._paths[file], self._packed[file])))
        self._unverified.difference_update(files)

    def _announce(self, runs: list[_Run]) -> None:
        """Tell the kernel what will be read, so that a disk works at all of it while readers wait for one row each."""
        for file, row, _, length in runs:
            position = self._offsets[file] + row * self._row_bytes
            os.posix_fadvise(self._open[file], position, length * self._row_bytes, os.POSIX_FADV_WILLNEED)

    def _read_run(self, run: _Run, out: memoryview) -> None:
        file, row, place, length = run
        size = self._row_bytes
        self._read(
            file, self._open[file], out[place * size : (place + length) * size], self._offsets[file] + row * size
        )

    def _share_out(self, jobs: Sequence[T], do: Callable[[T], None]) -> list[Future[float]]:
        """Let the readers ``do`` the jobs."""

        def do_some(part: Sequence[T]) -> float:
            began = time.perf_counter()
            for job in part:
                do(job)
            return time.perf_counter() - began

        parts = [self._pool.submit(do_some, jobs[i :: self._readers]) for i in range(self._readers)]
        self._at_work.update(parts)
        return parts

    def _done(self, parts: list[Future[float]]) -> float:
        """Wait for these. Returns the seconds they took, added up; raises the first error, once all are at rest."""
        wait(parts)  # no slot is given back while one of them reads
        self._at_work.difference_update(parts)
        return sum(part.result() for part in parts)

    def _read(self, file: int, descriptor: int, part: memoryview, position: int) -> None:
        """Fill ``part`` from there on; a call may give less than was asked for."""
        while part:
            try:
                got = os.preadv(descriptor, (part,), position)
            except OSError as error:
                raise DataError(f"{self._paths[file]} cannot be read: {error.strerror}; {LOOK}") from None
            if got == 0:
                raise DataError(f"{self._paths[file]} ends early; {FIX}")
            position += got
            part = part[got:]

    def _make_room(self, files: list[int]) -> None:
        """Close the files that were not used for longest, where these would be too many more."""
        surplus = len(self._open.keys() | set(files)) - self._most_open
        if surplus > 0:
            self._close([file for file in self._open if file not in files][:surplus])

    def _make_open(self, file: int) -> None:
        """See to it that the file is open, and known to be what the manifest says. Raises DataError."""
        if file in self._open:
            self._open.move_to_end(file)
            return
        path = self._paths[file]
        descriptor = open_batch_file(path)
        try:
            if file not in self._offsets:
                self._offsets[file] = pixels_begin(descriptor, path, (self.file_counts[file], *self._shape))
        except DataError:
            os.close(descriptor)
            raise
        self._open[file] = descriptor

    def _forget(self, files: list[int]) -> None:
        """Whoever tries again finds what lies there then."""
        self._close([file for file in files if file in self._open])
        for file in files:
            self._offsets.pop(file, None)

    def _close(self, files: list[int]) -> None:
        wait(self._at_work)  # other batches may be read from these
        for file in files:
            os.close(self._open.pop(file))
