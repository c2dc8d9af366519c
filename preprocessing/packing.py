"""Pictures into batch files: decoded by many processes, gathered by one in the order of the list.

Every file but the last is full: where a picture is left out, those after it move up. So what is written
depends on the list alone, not on the number of workers or on when a run was stopped.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.data.images.decode import Resize
from lib.data.packed.layout import Layout
from preprocessing.journal import Skipped
from preprocessing.pool import Future, WorkerPool
from preprocessing.sources import SourceList
from preprocessing.tasks import CHUNK, DecodeChunk, SharedBuffers, Write, Written


@dataclass(frozen=True)
class PackedFile:
    """One finished file, and the pictures left out on the way to it. The very end may have no file."""

    written: Written | None
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class _Writing:
    future: Future[Written]
    place: int
    skipped: tuple[Skipped, ...]


class Packer:
    """Packs stretches of one split's source list."""

    def __init__(
        self,
        pool: WorkerPool[SharedBuffers],
        buffers: SharedBuffers,
        at: Layout,
        source: SourceList,
        resize: Resize,
        on_pictures: Callable[[int], None],
        on_skipped: Callable[[Skipped], None],
    ) -> None:
        """``on_pictures`` is told how many more are done, ``on_skipped`` what is left out; it may raise."""
        self._pool, self._buffers, self._at = pool, buffers, at
        self._source, self._resize = source, resize
        self._on_pictures, self._on_skipped = on_pictures, on_skipped

    def pack(self, start: int, stop: int, number: int) -> Iterator[PackedFile]:
        """Pack entries ``start`` to ``stop`` into files from ``number`` on; gives them in that order.

        ``stop`` must be the end of a file or of the list.
        """
        writing: deque[_Writing] = deque()
        free = deque(range(self._buffers.n_files))
        skipped: list[Skipped] = []
        begun, count = start, 0
        for index, picture in self._decoded(start, stop):
            if isinstance(picture, str):
                skipped.append(Skipped(self._source.split, self._source.entries[index].name, picture))
                self._on_skipped(skipped[-1])
                continue
            self._buffers.file(free[0])[count] = picture
            count += 1
            if count == self._buffers.file_batch_size:
                place = free.popleft()
                writing.append(self._write(place, number, count, begun, index + 1, skipped))
                begun, count, number, skipped = index + 1, 0, number + 1, []
            while writing and (writing[0].future.done or not free):
                yield self._written(writing, free)
        if count:
            writing.append(self._write(free.popleft(), number, count, begun, stop, skipped))
        while writing:
            yield self._written(writing, free)
        if skipped and not count:
            yield PackedFile(None, tuple(skipped))

    def _decoded(self, start: int, stop: int) -> Iterator[tuple[int, NDArray[np.uint8] | str]]:
        """Each entry's picture, uint8 (H, W, 3), or the reason why there is none; in order, well ahead."""
        begins = deque(range(start, stop, CHUNK))
        free = deque(range(self._buffers.n_chunks))
        decoding: deque[tuple[Future[list[str | None]], int, int]] = deque()
        while begins or decoding:
            while begins and free:
                begin, chunk = begins.popleft(), free.popleft()
                entries = self._source.entries[begin : min(begin + CHUNK, stop)]
                task = DecodeChunk(chunk, self._source.root, entries, self._resize)
                decoding.append((self._pool.submit(task), begin, chunk))
            future, begin, chunk = decoding.popleft()
            images_BHWC = self._buffers.chunk(chunk)
            reasons: list[str | None] = self._pool.result(future)
            for row, reason in enumerate(reasons):
                yield begin + row, images_BHWC[row] if reason is None else reason
            free.append(chunk)
            self._on_pictures(len(reasons))

    def _write(self, place: int, number: int, count: int, start: int, stop: int, skipped: list[Skipped]) -> _Writing:
        task = Write(
            place=place,
            path=self._at.batch_file(self._source.split, self._buffers.file_batch_size, number),
            count=count,
            source_start=start,
            source_stop=stop,
            sum_images=self._source.split == "train",
        )
        return _Writing(self._pool.submit(task, urgent=True), place, tuple(skipped))

    def _written(self, writing: deque[_Writing], free: deque[int]) -> PackedFile:
        oldest = writing.popleft()
        written = self._pool.result(oldest.future)
        free.append(oldest.place)
        return PackedFile(written, oldest.skipped)
