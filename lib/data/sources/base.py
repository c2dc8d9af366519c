"""The interface of data sources. A source reads images and labels by number, and knows nothing of order or devices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ...config.schema import DataConfig
from ...types import Split
from ..cache_choice import Cache, keep_in_memory
from ..dataset import DataSet

PendingRead = Callable[[], None]
"""waits for a read that has begun, and raises DataError if it fails"""

Tops = Sequence[int] | None
"""the first row to read of each image; None for whole images"""

Warn = Callable[[str], None]
"""reports a problem that does not end the run, such as an image that cannot be decoded"""

Heartbeat = Callable[[str], object]
"""reports what is being read, from when on it may take run.patience_s"""


class Source(Protocol):
    """One split of a data set."""

    labels: NDArray[np.int64]
    """(N,), the class of each image"""

    def read(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Read images ``indices`` (n,) into ``out`` (n, H, W, 3). Raises DataError."""

    def begin_read(self, indices: NDArray[np.int64], out: NDArray[np.uint8], tops: Tops = None) -> PendingRead:
        """Begin to read ahead of time. Several reads may be pending, and are waited for in order.

        With ``tops`` read only some rows of each image: ``out`` is (n, rows, W, 3) and begins at row ``tops[i]``.
        """

    def resize(self, count: int) -> Any:
        """Use ``count`` threads or processes for what is begun from now on."""

    def close(self) -> Any:
        """Release files, threads and processes."""


class SynchronousSource:
    """A base for sources that do all the work of ``begin_read`` when it is waited for."""

    heartbeat: Heartbeat = staticmethod(lambda _: None)
    """what a source whose images take long calls while it reads; a loader puts its own here"""

    def begin_read(self: Source, indices: NDArray[np.int64], out: NDArray[np.uint8], tops: Tops = None) -> PendingRead:
        """Return a call of ``read``, which copies rows of whole images if only these are wanted."""
        if tops is None:
            return partial(self.read, indices, out)

        def read_rows() -> None:
            n, rows, columns, channels = out.shape
            images = np.empty((n, columns, columns, channels), np.uint8)
            self.read(indices, images)
            for image, top, target in zip(images, tops, out, strict=True):
                target[...] = image[top : top + rows]

        return read_rows

    def resize(self, count: int) -> None:
        """Do nothing: ``read`` decides how much it does at once."""


@dataclass(frozen=True, kw_only=True)
class SourceKind:
    """One value of ``data.source``: how to describe a data set of this kind, and how to read it."""

    describe: Callable[[DataConfig], DataSet]
    """checks the data set and returns its description, before any process starts; raises UserError with the first
    problem. The first call may take long: its results are cached in the data set's misc folder."""

    open: Callable[[DataConfig, DataSet, Split, Warn], Source]
    """opens one split of the data set that was described"""

    describe_val: Callable[[DataConfig, Sequence[str]], DataSet] | None = None
    """describes the validation images of these classes, without training images or a mean, for an evaluation of weights
    whose classes are known; None if the source needs training images"""

    choose_cache: Callable[[DataConfig, DataSet], tuple[Cache, str]] = keep_in_memory
    """chooses where images are kept if ``data.cache`` is not none, and returns a line for people or ""; may raise
    ConfigError"""

    resized_by: Literal["readers", "decoders"] = "readers"
    """the number of ``data`` that ``Source.resize`` changes"""

    speed_advice: Callable[[DataConfig, Cache], str]
    """tells the user what to change if trainers wait for images, which were read from this cache"""
