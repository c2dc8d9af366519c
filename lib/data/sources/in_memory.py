"""A source whose images are in memory. They are resized when they are read."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ..images.decode import Resize, resized
from .base import PendingRead, SynchronousSource, Tops

# Handing work to a thread takes about 13 us, copying an image of 256 x 256 about 8 us: copy several at a time.
_COPIED_AT_ONCE = 16


class InMemory(SynchronousSource):
    """One split: ``images`` (M, H, W, 3) of any size. Image i is ``images[i % M]``."""

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], *, img_size: int, resize: Resize, threads: int
    ) -> None:
        self.labels = labels
        self._images, self._size, self._resize = images, img_size, resize
        self._pool = ThreadPoolExecutor(threads, "resizer")

    def read(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Write images ``indices`` (n,) into ``out`` (n, H, W, 3)."""
        numbers = indices % len(self._images)
        if self._images.shape[1:3] == (self._size, self._size):
            list(self._pool.map(lambda part: self._copy(numbers[part], out[part]), _parts(len(numbers))))
        else:
            list(self._pool.map(self._resize_into, numbers, out))

    def begin_read(self, indices: NDArray[np.int64], out: NDArray[np.uint8], tops: Tops = None) -> PendingRead:
        """Return a call that reads."""
        if tops is None or self._images.shape[1:3] != (self._size, self._size):
            return super().begin_read(indices, out, tops)
        numbers, rows = (indices % len(self._images)).tolist(), out.shape[1]

        def copy(part: slice) -> None:
            for number, top, target in zip(numbers[part], tops[part], out[part], strict=True):
                target[...] = self._images[number, top : top + rows]

        def copy_all() -> None:
            list(self._pool.map(copy, _parts(len(out))))

        return copy_all

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _copy(self, numbers: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        np.take(self._images, numbers, axis=0, out=out, mode="clip")  # "raise" would copy twice

    def _resize_into(self, number: int, out: NDArray[np.uint8]) -> None:
        out[...] = resized(self._images[number], self._size, self._resize)


def _parts(count: int) -> list[slice]:
    return [slice(start, start + _COPIED_AT_ONCE) for start in range(0, count, _COPIED_AT_ONCE)]
