"""Reads of a batch into its slot, one after the other until one succeeds."""

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .slot import packed_images
from .sources.base import PendingRead, Source


def attempts_to_read(
    source: Source, indices: NDArray[np.int64], slot: NDArray[Any], rows: int, tops: Sequence[int]
) -> Iterator[PendingRead]:
    """Return the attempts to read images into a slot, the first of which has been started. They raise DataError.

    Of each image ``rows`` rows are read from ``tops[i]`` on, or all if that is 0. A slot of int64 takes the numbers of
    the images: the trainer's GPU copies them from ``data.cache: memory``.
    """
    if slot.dtype == np.int64:
        slot[: len(indices)] = indices
        return repeat(_nothing)
    out = packed_images(slot, len(indices), rows)

    def begin() -> PendingRead:
        return source.begin_read(indices, out, tops if rows else None)

    def again() -> None:
        begin()()

    try:
        return chain([begin()], repeat(again))
    except DataError:
        return repeat(again)  # raises again when the batch is due, in its order


def _nothing() -> None:
    """Wait for nothing."""
