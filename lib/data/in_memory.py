"""A source that holds its images in memory, and brings them to size as they are asked for."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from lib.data.decode import Resize, resized
from lib.data.source import Prompt


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
            np.take(self._images, numbers, axis=0, out=out, mode="clip")  # clip: "raise" would copy twice
        else:
            list(self._pool.map(self._write, numbers, out))

    def close(self) -> None:
        self._pool.shutdown()

    def _write(self, number: int, out: NDArray[np.uint8]) -> None:
        out[...] = resized(self._images[number], self._size, self._resize)
