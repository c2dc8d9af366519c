"""Pack images into batch files: many processes decode them, this one collects them in the order of the list.

Every file but the last is full: where an image is skipped, the following ones move up. The result therefore depends on
the list alone, not on the number of workers or on when a run was stopped.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.images.decode import Resize
from ..data.packed.layout import Layout
from ..system.worker_pool import Future, WorkerPool
from .buffers import CHUNK, SharedBuffers
from .journal import Skipped
from .sources import SourceList
from .tasks import DecodeChunk, WriteFile, WrittenFile


@dataclass(frozen=True)
class PackedFile:
    """A finished file, and the images skipped before its end. At the end of the list there may be no file."""

    written: WrittenFile | None
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class _PendingWrite:
    future: Future[WrittenFile]
    buffer: int
    skipped: tuple[Skipped, ...]


class Packer:
    """Packs ranges of one split's source list."""

    def __init__(
        self,
        pool: WorkerPool[SharedBuffers],
        buffers: SharedBuffers,
        at: Layout,
        source: SourceList,
        resize: Resize,
        on_images: Callable[[int], None],
        on_skipped: Callable[[Skipped], None],
    ) -> None:
        """``on_images`` gets the number of images that were decoded; ``on_skipped`` may raise."""
        self._pool, self._buffers, self._at = pool, buffers, at
        self._source, self._resize = source, resize
        self._on_images, self._on_skipped = on_images, on_skipped

    def pack(self, start: int, stop: int, number: int) -> Iterator[PackedFile]:
        """Pack entries ``start`` to ``stop`` into files from ``number`` on, and yield these in order.

        ``stop`` must be the end of a file or of the list.
        """
        writing: deque[_PendingWrite] = deque()
        free = deque(range(len(self._buffers.files)))
        skipped: list[Skipped] = []
        first, count = start, 0
        for index, image in self._decoded(start, stop):
            if isinstance(image, str):
                skipped.append(Skipped(self._source.split, self._source.entries[index].name, image))
                self._on_skipped(skipped[-1])
                continue
            self._buffers.files[free[0]][count] = image
            count += 1
            if count == self._buffers.file_batch_size:
                writing.append(self._write(free.popleft(), number, count, first, index + 1, skipped))
                first, count, number, skipped = index + 1, 0, number + 1, []
            while writing and (writing[0].future.done or not free):
                yield self._finish(writing, free)
        if count:
            writing.append(self._write(free.popleft(), number, count, first, stop, skipped))
        while writing:
            yield self._finish(writing, free)
        if skipped and not count:
            yield PackedFile(None, tuple(skipped))

    def _decoded(self, start: int, stop: int) -> Iterator[tuple[int, NDArray[np.uint8] | str]]:
        """Yield each entry's image, uint8 (H, W, 3), or the reason why there is none, in order. Decodes far ahead."""
        starts = deque(range(start, stop, CHUNK))
        free = deque(range(len(self._buffers.chunks)))
        decoding: deque[tuple[Future[list[str | None]], int, int]] = deque()
        while starts or decoding:
            while starts and free:
                first, chunk = starts.popleft(), free.popleft()
                entries = self._source.entries[first : min(first + CHUNK, stop)]
                task = DecodeChunk(chunk, str(self._source.root), entries, self._resize)
                decoding.append((self._pool.submit(task, list[str | None]), first, chunk))
            future, first, chunk = decoding.popleft()
            reasons = self._pool.result(future)
            for row, reason in enumerate(reasons):
                yield first + row, self._buffers.chunks[chunk][row] if reason is None else reason
            free.append(chunk)
            self._on_images(len(reasons))

    def _write(
        self, buffer: int, number: int, count: int, start: int, stop: int, skipped: list[Skipped]
    ) -> _PendingWrite:
        task = WriteFile(
            buffer=buffer,
            path=str(self._at.batch_file(self._source.split, self._buffers.file_batch_size, number)),
            count=count,
            source_start=start,
            source_stop=stop,
            sum_images=self._source.split == "train",
        )
        return _PendingWrite(self._pool.submit(task, WrittenFile, urgent=True), buffer, tuple(skipped))

    def _finish(self, writing: deque[_PendingWrite], free: deque[int]) -> PackedFile:
        """Wait for the oldest write, and release its buffer."""
        oldest = writing.popleft()
        written = self._pool.result(oldest.future)
        free.append(oldest.buffer)
        return PackedFile(written, oldest.skipped)
