"""A source that holds its images in memory, and brings them to size as they are asked for."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from lib.data.images.decode import Resize, resized
from lib.data.sources.base import Prompt

# Handing work to a thread takes some 13 us here, copying an image of 256 x 256 some 8 us: so not one at a time.
_AT_ONCE = 16


class InMemory(Prompt):
    """One split: ``images`` (M, H, W, 3) of any size; image i is number i modulo M."""

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], *, img_size: int, resize: Resize, threads: int
    ) -> None:
        self.labels = labels
        self._images, self._size, self._resize = images, img_size, resize
        self._pool = ThreadPoolExecutor(threads, "resizer")

    def rows(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Write images ``indices`` (n,) into ``out`` (n, H, W, 3)."""
        numbers = indices % len(self._images)
        if self._images.shape[1:3] == (self._size, self._size):
            starts = range(0, len(numbers), _AT_ONCE)
            parts = [slice(start, start + _AT_ONCE) for start in starts]
            list(self._pool.map(lambda part: self._copy(numbers[part], out[part]), parts))
        else:
            list(self._pool.map(self._write, numbers, out))

    def close(self) -> None:
        self._pool.shutdown()

    def _copy(self, numbers: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        np.take(self._images, numbers, axis=0, out=out, mode="clip")  # clip: "raise" would copy twice

    def _write(self, number: int, out: NDArray[np.uint8]) -> None:
        out[...] = resized(self._images[number], self._size, self._resize)
