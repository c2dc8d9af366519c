"""Read images from batch files straight into the slots that loader and trainer share.

The manifest says where in each file the pixels begin, so ``preadv`` copies rows from the page cache to their slot and
nothing else copies them. Between two calls a thread holds Python's lock for one or two microseconds, which also limits
how fast several threads can be.
"""

import itertools
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

from ...errors import DataError
from ...types import Split
from ..sources.base import PendingRead, Tops
from .batch_file import CHECK_DISK, FIX, open_batch_file, verify_batch_file
from .layout import Layout
from .manifest import Manifest
from .metadata import read_labels

T = TypeVar("T")
# The part of the process's limit of open files that one split may use: usually enough for all files of ImageNet.
_SHARE_OF_OPEN_FILES = 0.4
# A batch is divided among the threads in parts of about so many runs or more: handing over a part costs some ten
# microseconds, and while batches are read ahead all threads have work anyway.
_JOBS_OF_A_THREAD = 64
# Reads slower than this do not come from the page cache.
_MEMORY_BYTES_PER_S = 1e9


# Consecutive bytes that one call reads: file, first byte in it, first byte in the output, number of bytes.
# A plain tuple, as there may be one for each image.
_Run: TypeAlias = tuple[int, int, int, int]


class HickleBatches:
    """One split of a packed data set, read by ``readers`` threads."""

    def __init__(self, at: Layout, manifest: Manifest, split: Split, *, readers: int, verify: bool = False) -> None:
        """With ``verify``, compare each file with its checksum before its first row is read."""
        self.labels = read_labels(at, manifest, split)
        self._files = manifest.split(split).files
        self._paths = [at.batch_dir(split, manifest.file_batch_size) / file.name for file in self._files]
        self._unverified = set(range(len(self._files))) if verify else set[int]()
        self._starts = np.cumsum([0, *(file.count for file in self._files)])
        self._offsets = np.array([file.offset for file in self._files], np.int64)
        self._row_bytes = 3 * manifest.img_size
        self._image_bytes = self._row_bytes * manifest.img_size
        self._open: OrderedDict[int, int] = OrderedDict()  # descriptors by file, the least recently used first
        self._max_open = int(_SHARE_OF_OPEN_FILES * resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._from_disk = False
        self._readers = readers
        self._pending: set[Future[float]] = set()
        self._pool = ThreadPoolExecutor(readers, "reader")

    def read(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Read images ``indices`` (n,) into ``out`` (n, H, W, 3), C-contiguous. Raises DataError."""
        self.begin_read(indices, out)()

    def begin_read(self, indices: NDArray[np.int64], out: NDArray[np.uint8], tops: Tops = None) -> PendingRead:
        """Begin to read whole images, or from row ``tops[i]`` on as many rows as ``out`` (n, rows, W, 3) has.

        The returned call waits for the end. Both raise DataError.
        """
        runs = self._runs(indices) if tops is None else self._row_runs(indices, tops, out[0].nbytes if len(out) else 0)
        files = list(dict.fromkeys(file for file, *_ in runs))
        self._close_unused(files)
        try:
            for file in files:
                self._ensure_open(file)
            if unverified := self._unverified.intersection(files):
                self._verify(unverified)
        except DataError:
            self._close_all(files)
            raise
        if self._from_disk:
            self._advise(runs)
        memory = out.data.cast("B") if len(out) else memoryview(b"")
        reading = self._submit(runs, partial(self._read_run, out=memory))

        def finish() -> None:
            try:
                seconds = self._wait(reading)
            except DataError:
                self._close_all(files)
                raise
            self._from_disk = out.nbytes < seconds * _MEMORY_BYTES_PER_S

        return finish

    def resize(self, count: int) -> None:
        """Read with ``count`` threads from the next batch on."""
        if count != self._readers:
            before, self._pool, self._readers = self._pool, ThreadPoolExecutor(count, "reader"), count
            before.shutdown(wait=False)  # its threads finish what they have

    def close(self) -> None:
        """End the threads and close all files."""
        self._pool.shutdown()
        self._close_all(list(self._open))

    def _row_runs(self, indices: NDArray[np.int64], tops: Sequence[int], n_bytes: int) -> list[_Run]:
        """Return a run for each image: ``n_bytes`` bytes from row ``tops[i]`` on."""
        files = np.searchsorted(self._starts, indices, side="right") - 1
        images = indices - self._starts[files]
        positions = self._offsets[files] + images * self._image_bytes + np.array(tops, np.int64) * self._row_bytes
        places = range(0, n_bytes * len(indices), n_bytes or 1)
        return list(zip(files.tolist(), positions.tolist(), places, itertools.repeat(n_bytes)))

    def _runs(self, indices: NDArray[np.int64]) -> list[_Run]:
        """Divide ``indices`` into runs of consecutive images of one file."""
        files = np.searchsorted(self._starts, indices, side="right") - 1
        breaks = (np.diff(indices) != 1) | (np.diff(files) != 0)
        places = np.flatnonzero(np.concatenate([[True], breaks]))[: len(indices)]
        images, files = indices[places] - self._starts[files[places]], files[places]
        positions = self._offsets[files] + images * self._image_bytes
        sizes = np.diff(places, append=len(indices)) * self._image_bytes
        columns = (files, positions, places * self._image_bytes, sizes)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def _verify(self, files: set[int]) -> None:
        """Compare files with their checksums. It waits for all reads that were begun before."""
        self._wait(self._submit(sorted(files), lambda file: verify_batch_file(self._paths[file], self._files[file])))
        self._unverified.difference_update(files)

    def _advise(self, runs: list[_Run]) -> None:
        """Tell the kernel what will be read, so that the disk works on all runs while each thread waits for one."""
        for file, position, _, size in runs:
            os.posix_fadvise(self._open[file], position, size, os.POSIX_FADV_WILLNEED)

    def _read_run(self, run: _Run, out: memoryview) -> None:
        """Read the run into its place in ``out``. One call may return fewer bytes than asked for."""
        file, position, start, size = run
        descriptor, remaining = self._open[file], out[start : start + size]
        while remaining:
            try:
                count = os.preadv(descriptor, (remaining,), position)
            except OSError as error:
                raise DataError(f"{self._paths[file]} cannot be read: {error.strerror}; {CHECK_DISK}") from None
            if count == 0:
                raise DataError(f"{self._paths[file]} ends early; {FIX}")
            position += count
            remaining = remaining[count:]

    def _submit(self, jobs: Sequence[T], do: Callable[[T], None]) -> list[Future[float]]:
        """Divide the jobs among the threads. Each future returns the seconds of its thread."""

        def do_some(some: Sequence[T]) -> float:
            start = time.perf_counter()
            for job in some:
                do(job)
            return time.perf_counter() - start

        parts = min(self._readers, -(-len(jobs) // _JOBS_OF_A_THREAD))
        futures = [self._pool.submit(do_some, jobs[i::parts]) for i in range(parts)]
        self._pending.update(futures)
        return futures

    def _wait(self, futures: list[Future[float]]) -> float:
        """Wait for all of them, as no slot may be returned while a thread writes to it.

        Returns the sum of their seconds. Raises the first error.
        """
        wait(futures)
        self._pending.difference_update(futures)
        return sum(future.result() for future in futures)

    def _close_unused(self, needed: list[int]) -> None:
        """Close the least recently used files if the needed ones would exceed the limit."""
        surplus = len(self._open.keys() | set(needed)) - self._max_open
        if surplus > 0:
            self._close_all([file for file in self._open if file not in needed][:surplus])

    def _ensure_open(self, file: int) -> None:
        if file in self._open:
            self._open.move_to_end(file)
        else:
            self._open[file] = open_batch_file(self._paths[file], self._files[file])

    def _close_all(self, files: list[int]) -> None:
        """Close these files. After an error, the next attempt opens whatever files have their names then."""
        wait(self._pending)  # other batches may be read from them
        for file in files:
            if file in self._open:
                os.close(self._open.pop(file))
