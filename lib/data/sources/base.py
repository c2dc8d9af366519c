"""A source gives images and labels by number. It knows files, not chance, order or devices."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lib.config.schema import DataConfig
from lib.data.dataset import DataSet
from lib.types import Split

Finish = Callable[[], None]
"""waits until what was begun is done; raises DataError"""


class Source(Protocol):
    """One split of a data set."""

    labels: NDArray[np.int64]
    """(N,), the class of each image"""

    def rows(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Read images ``indices`` (n,) into ``out`` (n, H, W, 3). Raises DataError."""

    def begin(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> Finish:
        """As ``rows``, some of it before its turn comes: several may be begun, and are finished in that order."""

    def close(self) -> Any:
        """Give back files, threads and processes."""


class Prompt:
    """For sources that do all of it when its turn comes."""

    def begin(self: Source, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> Finish:
        return partial(self.rows, indices, out)


Say = Callable[[str], None]
"""where a source reports what need not end the run, such as a picture that it had to skip"""


@dataclass(frozen=True, kw_only=True)
class SourceKind:
    """One way in: how to describe a data set of this kind, and how to read it."""

    describe: Callable[[DataConfig], DataSet]
    """startup: raises UserError unless the data set is whole, with the first thing that is not; may take a while
    the first time, for what it then keeps in the data set's misc folder"""

    open: Callable[[DataConfig, DataSet, Split, Say], Source]
    """a split of what was described"""

    faster: Callable[[DataConfig], str]
    """what to change where trainers wait for its images"""
