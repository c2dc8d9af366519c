"""A source gives images and labels by number. It knows files, not chance, order or devices."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Source(Protocol):
    """One split of a data set."""

    file_counts: tuple[int, ...]
    """images in each file, in order: what ``order.epoch_order`` shuffles"""

    labels: NDArray[np.int64]
    """(N,), the class of each image"""

    def rows(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Read images ``indices`` (n,) into ``out`` (n, H, W, 3). Raises DataError."""

    def close(self) -> Any:
        """Give back files and threads."""
