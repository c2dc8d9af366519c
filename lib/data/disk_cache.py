"""``data.cache: disk``: decoded images of one split, kept on disk picture by picture.

Each process that decodes appends to a pair of files of its own, so several runs may fill a cache at once:

    misc/cache/SPLIT_ID/TIME-PID.pixels     images (H, W, 3), one after the other
    misc/cache/SPLIT_ID/TIME-PID.index      a record of 28 bytes for each of them

A record counts once its image is written. It names the picture, its size and time, and has a checksum of all of this
and the pixels. So a kill or a power cut costs at most the pictures that were being written, and a picture that has
changed, or pixels that have, are found and decoded again. Nothing here can stop a training.
"""

import os
import queue
import struct
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..system.disk import free_bytes

Stamp = tuple[int, int]
"""size in bytes and modification time in nanoseconds of the file that holds a picture"""

PIXELS, INDEX = ".pixels", ".index"
RECORD = np.dtype([("name", "<u8"), ("bytes", "<i8"), ("modified_ns", "<i8"), ("crc32", "<u4")])

# Room that is left on the disk for checkpoints and other programs.
RESERVE_BYTES = 2e9
# Images that wait to be written. Further ones are not kept: a slow disk must not slow the training.
_MAX_WAITING = 512
# Images between two looks at the room on the disk.
_CHECK_ROOM = 64
# Seconds between two looks for what other processes have added.
_SCAN_S = 1.0
# The longest wait for the last images to be written.
_CLOSE_S = 10.0


Warn = Callable[[str], None]
Tops = Sequence[int] | None

Written = Callable[[int, Path, int, NDArray[np.void]], None]
"""takes an image that was written: its number, index file, row and record"""


class CachedRead(NamedTuple):
    """Images that are being read from the cache."""

    missing: list[int]
    """places of the images that are not there"""
    reading: list[Future[list[int]]]

    def wait(self) -> list[int]:
        """Wait for the images. Return the places of all that must be decoded: those missing, and those damaged."""
        damaged = [place for future in self.reading for place in future.result()]
        return sorted([*self.missing, *damaged])


class _Hit(NamedTuple):
    """An image in the cache."""

    place: int
    number: int
    file: int
    row: int
    stamp: Stamp
    crc32: int
    verified: bool


class DiskCache:
    """The cached images of the pictures ``names`` (N,), of the loader that opens it and of all others."""

    def __init__(self, folder: Path, names: NDArray[np.bytes_], img_size: int, *, readers: int, warn: Warn) -> None:
        self._folder, self._img_size, self._warn = folder, img_size, warn
        self._keys = np.array([key_of(name) for name in names.tolist()], np.uint64)
        self._order = np.argsort(self._keys, kind="stable")
        self._sorted = self._keys[self._order]
        count = len(names)
        self._file, self._row = np.full(count, -1, np.int32), np.zeros(count, np.int64)
        self._records, self._verified = np.zeros(count, RECORD), np.zeros(count, bool)
        self._files: list[_Opened] = []
        self._known: dict[str, _Opened] = {}
        self._scanned_s = -_SCAN_S
        self._lock = threading.Lock()
        self._damaged = False
        self._pool = ThreadPoolExecutor(readers, "cache reader")
        self._readers = readers
        self._writer = _Writer(folder, self._written, warn)
        self.scan()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape of each image, (H, W, 3)."""
        return self._img_size, self._img_size, 3

    def begin(self, indices: Sequence[int], stamps: Sequence[Stamp], out: NDArray[np.uint8], tops: Tops) -> CachedRead:
        """Begin to read images that have these stamps into ``out`` (n, rows, W, 3)."""
        hits, missing = self._find(indices, stamps)
        if missing and time.monotonic() - self._scanned_s > _SCAN_S:
            self.scan()
            hits, missing = self._find(indices, stamps)
        parts = [hits[part :: self._readers] for part in range(min(self._readers, len(hits)))]
        return CachedRead(missing, [self._pool.submit(partial(self._read, part, out, tops)) for part in parts])

    def add(self, index: int, stamp: Stamp, image: NDArray[np.uint8]) -> None:
        """Keep an image (H, W, 3), which must not change from now on, unless the disk is too slow or full."""
        self._writer.put(index, int(self._keys[index]), stamp, image)

    def scan(self) -> None:
        """Look for what other processes have added."""
        self._scanned_s = time.monotonic()
        try:
            names = sorted(entry.name for entry in os.scandir(self._folder) if entry.name.endswith(INDEX))
        except OSError:
            return
        for name in names:
            if name not in self._known:
                opened = _Opened.open(self._folder / name)
                if not opened:
                    continue
                self._known[name] = opened
            if self._known[name].path != self._writer.index_path:
                self._take(self._known[name])

    def close(self) -> None:
        """Write what waits to be written, and close all files."""
        self._writer.close()
        self._pool.shutdown()
        for opened in self._known.values():
            opened.close()

    def _take(self, opened: "_Opened") -> None:
        """Take the records that have come to an index since the last look."""
        first, records = opened.new_records()
        if not len(records) or not len(self._sorted):
            return
        places = np.searchsorted(self._sorted, records["name"]).clip(max=len(self._sorted) - 1)
        ours = self._sorted[places] == records["name"]
        self._set(self._order[places[ours]], opened, first + np.flatnonzero(ours), records[ours], verified=False)

    def _set(
        self,
        indices: NDArray[np.int64],
        opened: "_Opened",
        rows: NDArray[np.int64],
        records: NDArray[np.void],
        *,
        verified: bool,
    ) -> None:
        with self._lock:
            if opened not in self._files:
                self._files.append(opened)
            self._file[indices] = self._files.index(opened)
            self._row[indices], self._records[indices], self._verified[indices] = rows, records, verified

    def _written(self, index: int, index_path: Path, row: int, record: NDArray[np.void]) -> None:
        """Take an image that this process has written."""
        if index_path.name not in self._known:
            opened = _Opened.open(index_path)
            if not opened:
                return
            self._known[index_path.name] = opened
        self._set(np.array([index]), self._known[index_path.name], np.array([row]), record, verified=True)

    def _find(self, indices: Sequence[int], stamps: Sequence[Stamp]) -> tuple[list[_Hit], list[int]]:
        chosen = np.array(indices, np.int64)
        with self._lock:
            files, rows = self._file[chosen].tolist(), self._row[chosen].tolist()
            records, verified = self._records[chosen].tolist(), self._verified[chosen].tolist()
        hits, missing = [], []
        for place, (file, (_, n_bytes, modified_ns, crc32)) in enumerate(zip(files, records, strict=True)):
            if file >= 0 and (n_bytes, modified_ns) == stamps[place]:
                hits.append(_Hit(place, indices[place], file, rows[place], stamps[place], crc32, verified[place]))
            else:
                missing.append(place)
        return hits, missing

    def _read(self, hits: Sequence[_Hit], out: NDArray[np.uint8], tops: Tops) -> list[int]:
        """Read images into their places in ``out``. Return the places of those that are damaged."""
        return [hit.place for hit in hits if not self._read_image(hit, out[hit.place], tops[hit.place] if tops else 0)]

    def _read_image(self, hit: _Hit, out: NDArray[np.uint8], top: int) -> bool:
        pixels, row_bytes = self._files[hit.file].pixels, 3 * self._img_size
        start = hit.row * self._img_size * row_bytes
        if hit.verified:
            return _read_fully(pixels, out, start + top * row_bytes)
        image = np.empty((self._img_size, self._img_size, 3), np.uint8)
        key = int(self._keys[hit.number])
        if not _read_fully(pixels, image, start) or checksum(key, hit.stamp, image) != hit.crc32:
            self._forget(hit)
            return False
        out[...] = image[top : top + len(out)]
        self._verified[hit.number] = True
        return True

    def _forget(self, hit: _Hit) -> None:
        with self._lock:
            if (self._file[hit.number], self._row[hit.number]) == (hit.file, hit.row):
                self._file[hit.number] = -1
            first, self._damaged = not self._damaged, True
        if first:
            self._warn(f"{self._folder}: a cached image is damaged; such images are decoded again")


class _Opened:
    """A pair of files that is read."""

    def __init__(self, path: Path, index: int, pixels: int) -> None:
        self.path, self.pixels = path, pixels
        self._index, self._taken = index, 0

    @classmethod
    def open(cls, path: Path) -> "_Opened | None":
        """Open the pair of an index; None if it is gone or cannot be read."""
        try:
            index = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return cls(path, index, os.open(path.with_suffix(PIXELS), os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            os.close(index)
            return None

    def new_records(self) -> tuple[int, NDArray[np.void]]:
        """Return the number of the first record that has not been returned, and all complete ones from it on."""
        size, first = RECORD.itemsize, self._taken
        try:
            count = os.fstat(self._index).st_size // size - first
            content = os.pread(self._index, count * size, first * size) if count > 0 else b""
        except OSError:
            content = b""
        records = np.frombuffer(content[: len(content) // size * size], RECORD)
        self._taken += len(records)
        return first, records

    def close(self) -> None:
        os.close(self._index)
        os.close(self.pixels)


class _Writer:
    """Appends images to a pair of files in a thread of its own. After an error of the disk it keeps no more."""

    def __init__(self, folder: Path, written: Written, warn: Warn) -> None:
        self.index_path = folder / f"{time.time_ns():020d}-{os.getpid()}{INDEX}"
        self._folder, self._report, self._warn = folder, written, warn
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue(_MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._stopped = False

    def put(self, index: int, key: int, stamp: Stamp, image: NDArray[np.uint8]) -> None:
        if self._stopped or self._waiting.full():
            return
        if not self._thread:
            self._thread = threading.Thread(target=self._run, name="cache writer", daemon=True)
            self._thread.start()
        self._waiting.put(_Waiting(index, key, stamp, image))

    def close(self) -> None:
        if self._thread:
            self._waiting.put(None)
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (
                self.index_path.with_suffix(PIXELS).open("xb", buffering=0) as pixels,
                self.index_path.open("xb", buffering=0) as index,
            ):
                row = 0
                while waiting := self._waiting.get():
                    if row % _CHECK_ROOM == 0 and free_bytes(self._folder) < RESERVE_BYTES:
                        self._stop(f"less than {RESERVE_BYTES / 1e9:g} GB are free")
                        break
                    crc32 = checksum(waiting.key, waiting.stamp, waiting.image)
                    record = np.array([(waiting.key, *waiting.stamp, crc32)], RECORD)
                    _write_fully(pixels.fileno(), waiting.image.data.cast("B"))
                    _write_fully(index.fileno(), memoryview(record.tobytes()))
                    self._report(waiting.number, self.index_path, row, record)
                    row += 1
        except OSError as error:
            self._stop(f"it cannot be written: {error.strerror}")

    def _stop(self, reason: str) -> None:
        """Keep no more, and let nobody wait."""
        self._stopped = True
        self._warn(f"data.cache disk: {self._folder}: {reason}; images are decoded from now on and not kept")
        while self._waiting.get():
            pass


class _Waiting(NamedTuple):
    """An image to be written."""

    number: int
    key: int
    stamp: Stamp
    image: NDArray[np.uint8]


def key_of(name: bytes) -> int:
    """Return a number of 64 bits for a picture's name."""
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little")


def checksum(key: int, stamp: Stamp, image: NDArray[np.uint8]) -> int:
    """Return the checksum of a picture's key and stamp and of its pixels."""
    return zlib.crc32(image.data.cast("B"), zlib.crc32(struct.pack("<Qqq", key, *stamp)))


def _read_fully(descriptor: int, out: NDArray[np.uint8], position: int) -> bool:
    """Read into ``out`` from ``position`` on. Return whether all of it could be read."""
    remaining = out.data.cast("B")
    try:
        while remaining and (count := os.preadv(descriptor, (remaining,), position)):
            position, remaining = position + count, remaining[count:]
    except OSError:
        return False
    return not remaining


def _write_fully(descriptor: int, content: memoryview) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
