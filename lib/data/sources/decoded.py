"""A source whose images are decoded when they are read.

An image that cannot be decoded is reported once. From then on the next image of its class is a substitute for it, with
the same label. A batch therefore always has as many images as planned, whichever worker finds the broken one. An image
whose bytes cannot be read, because its disk is away, is not broken: that is an error, which may pass.
"""

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..index import Index, readable
from .base import SynchronousSource, Warn
from .decoders import Decoders


class DecodedImages(SynchronousSource):
    """One split. ``where`` names it in messages."""

    def __init__(self, index: Index, decoders: Decoders, where: str, warn: Warn) -> None:
        self.labels = index.labels
        self.substitutes: dict[int, int] = {}
        """the image that replaces each broken one"""
        self._names, self._decoders, self._where, self._warn = index.names, decoders, where, warn

    def read(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Decode images ``indices`` (n,) into ``out`` (n, H, W, 3).

        Raises UnavailableError if one cannot be read now, and DataError if every image of a class is broken.
        """
        chosen = self._chosen(indices)
        for place, reason in sorted(self._decoders.decode(self._names_of(chosen), out, self.heartbeat).items()):
            self._replace(chosen[place], reason, out[place : place + 1])

    def resize(self, count: int) -> None:
        """Decode with ``count`` processes from now on."""
        self._decoders.resize(count)

    def close(self) -> None:
        """Close the decoders."""
        self._decoders.close()

    def _chosen(self, indices: NDArray[np.int64]) -> list[int]:
        """Return the images that are read for ``indices``."""
        return [self.substitutes.get(index, index) for index in indices.tolist()]

    def _names_of(self, indices: list[int]) -> list[bytes]:
        return [bytes(name) for name in self._names[indices]]

    def _replace(self, index: int, reason: str, out: NDArray[np.uint8]) -> None:
        """Find a substitute for broken image ``index``, and decode it into ``out``."""
        same_class = np.flatnonzero(self.labels == self.labels[index])
        at = int(np.searchsorted(same_class, index))
        for other in [*same_class[at + 1 :].tolist(), *same_class[:at].tolist()]:
            if not self._decoders.decode(self._names_of([other]), out, self.heartbeat):
                self._substitute(index, other, reason)
                return
        raise DataError(
            f"{self._where}: no image of class {self.labels[index]} can be decoded, "
            f"e.g. {readable(self._names[index])}: {reason}; remove the class or repair it"
        )

    def _substitute(self, index: int, other: int, reason: str) -> None:
        if index in self.substitutes:
            return
        for broken, substitute in self.substitutes.items():
            if substitute == index:
                self.substitutes[broken] = other
        self.substitutes[index] = other
        name, instead = readable(self._names[index]), readable(self._names[other])
        self._warn(f"{self._where}/{name} is skipped: {reason}; {instead} replaces it")
