"""Read images from batch files straight into the slots that loader and trainer share.

The manifest says where in each file the pixels begin, so rows are copied from the page cache to their slot and nothing
else copies them: those of many images in one call, from the mapped files, outside Python's lock. From a disk, and where
that call is forbidden, ``preadv`` reads image by image.
"""

import os
import resource
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ...system.memory_copy import MemoryCopy
from ...types import Split
from ..sources.base import PendingRead, Tops
from .batch_file import CHECK_DISK, FIX, open_batch_file, verify_batch_file
from .layout import Layout
from .manifest import Manifest
from .metadata import read_labels

# The part of the process's limit of open files that one split may use: usually enough for all files of ImageNet.
_SHARE_OF_OPEN_FILES = 0.4
# Each thread gets at least about this many runs of a batch. Handing over a part takes tens of microseconds, and other
# batches keep the remaining threads busy.
_RUNS_OF_A_THREAD = 64
# Reads slower than this do not come from the page cache, and neither may those of as many batches after them.
_MEMORY_BYTES_PER_S = 1e9
_BATCHES_AFTER = 16

# Consecutive bytes in each row: file, first byte in it, first byte in the output, number of bytes.
_Runs: TypeAlias = NDArray[np.int64]


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
        self._addresses = np.zeros(len(self._files), np.int64)  # of the files that are mapped
        self._max_open = int(_SHARE_OF_OPEN_FILES * resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._copy = MemoryCopy()
        self._from_disk = 0
        """batches that may not be in the page cache"""
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
        files: list[int] = np.unique(runs[:, 0]).tolist()
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
        n_parts = min(self._readers, -(-len(runs) // _RUNS_OF_A_THREAD))
        reading = self._submit(partial(self._read, runs[part::n_parts], out) for part in range(n_parts))

        def finish() -> None:
            try:
                seconds = self._wait(reading)
            except DataError:
                self._close_all(files)
                raise
            slow = out.nbytes < seconds * _MEMORY_BYTES_PER_S
            self._from_disk = _BATCHES_AFTER if slow else max(0, self._from_disk - 1)

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

    def _row_runs(self, indices: NDArray[np.int64], tops: Sequence[int], n_bytes: int) -> _Runs:
        """Return a run for each image: ``n_bytes`` bytes from row ``tops[i]`` on."""
        files = np.searchsorted(self._starts, indices, side="right") - 1
        images = indices - self._starts[files]
        positions = self._offsets[files] + images * self._image_bytes + np.array(tops, np.int64) * self._row_bytes
        places = np.arange(len(indices)) * n_bytes
        return np.stack([files, positions, places, np.full(len(indices), n_bytes)], axis=1)

    def _runs(self, indices: NDArray[np.int64]) -> _Runs:
        """Divide ``indices`` into runs of consecutive images of one file."""
        files = np.searchsorted(self._starts, indices, side="right") - 1
        breaks = (np.diff(indices) != 1) | (np.diff(files) != 0)
        places = np.flatnonzero(np.concatenate([[True], breaks]))[: len(indices)]
        images, files = indices[places] - self._starts[files[places]], files[places]
        positions = self._offsets[files] + images * self._image_bytes
        sizes = np.diff(places, append=len(indices)) * self._image_bytes
        return np.stack([files, positions, places * self._image_bytes, sizes], axis=1)

    def _verify(self, files: set[int]) -> None:
        """Compare files with their checksums, after all reads that began earlier."""
        jobs = (partial(verify_batch_file, self._paths[file], self._files[file]) for file in sorted(files))
        self._wait(self._submit(jobs))
        self._unverified.difference_update(files)

    def _advise(self, runs: _Runs) -> None:
        """Tell the kernel what will be read, so that the disk works on all runs while each thread waits for one."""
        for file, position, _, size in runs.tolist():
            os.posix_fadvise(self._open[file], position, size, os.POSIX_FADV_WILLNEED)

    def _read(self, runs: _Runs, out: NDArray[np.uint8]) -> None:
        """Read the runs into their places in ``out``, in one call if they can be copied from memory."""
        files, positions, places, sizes = runs.T
        addresses = self._addresses[files]
        in_memory = not self._from_disk and addresses.all()
        if not (in_memory and self._copy(addresses + positions, out.ctypes.data + places, sizes)):
            memory = out.data.cast("B")
            for file, position, place, size in runs.tolist():
                self._read_run(file, position, memory[place : place + size])

    def _read_run(self, file: int, position: int, remaining: memoryview) -> None:
        """Fill ``remaining`` from this position on. One call may return fewer bytes than asked for."""
        descriptor = self._open[file]
        while remaining:
            try:
                count = os.preadv(descriptor, (remaining,), position)
            except OSError as error:
                raise DataError(f"{self._paths[file]} cannot be read: {error.strerror}; {CHECK_DISK}") from None
            if count == 0:
                raise DataError(f"{self._paths[file]} ends early; {FIX}")
            position += count
            remaining = remaining[count:]

    def _submit(self, jobs: Iterable[Callable[[], None]]) -> list[Future[float]]:
        """Give the jobs to the threads. Each future returns its seconds."""

        def timed(job: Callable[[], None]) -> float:
            start = time.perf_counter()
            job()
            return time.perf_counter() - start

        futures = [self._pool.submit(timed, job) for job in jobs]
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
            self._addresses[file] = self._copy.map_file(self._open[file], self._files[file].bytes)

    def _close_all(self, files: list[int]) -> None:
        """Close these files. After an error, the next attempt opens whatever files have their names then."""
        wait(self._pending)  # other batches may be read from them
        for file in files:
            if file in self._open:
                os.close(self._open.pop(file))
                if address := int(self._addresses[file]):
                    self._copy.unmap_file(address, self._files[file].bytes)
                self._addresses[file] = 0
