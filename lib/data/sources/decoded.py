"""A source whose pictures are decoded as they are asked for.

A picture that cannot be decoded is named once, and from then on the next picture of its class stands in for it,
with the same label. So a batch always has as many images as its plan says, whichever worker meets the picture.
One whose bytes cannot be had, because its disk is away, is no such picture: that is an error, and may pass.
"""

import numpy as np
from numpy.typing import NDArray

from lib.data.index import Index, readable
from lib.data.sources.base import Prompt, Say
from lib.data.sources.decoders import Decoders
from lib.errors import DataError


class DecodedPictures(Prompt):
    """One split. ``where`` is what messages call it."""

    def __init__(self, index: Index, decoders: Decoders, where: str, say: Say) -> None:
        self.labels = index.labels
        self.stand_ins: dict[int, int] = {}
        """the picture that is shown in the place of each that cannot be"""
        self._names, self._decoders, self._where, self._say = index.names, decoders, where, say

    def rows(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Decode images ``indices`` (n,) into ``out`` (n, H, W, 3).

        Raises UnavailableError when one cannot be read now, DataError when a whole class is broken.
        """
        shown = [self.stand_ins.get(index, index) for index in indices.tolist()]
        for place, reason in sorted(self._decoders.fill(self._named(shown), out).items()):
            self._replace(shown[place], reason, out[place : place + 1])

    def close(self) -> None:
        self._decoders.close()

    def _named(self, indices: list[int]) -> list[bytes]:
        return [bytes(name) for name in self._names[indices]]

    def _replace(self, index: int, reason: str, out: NDArray[np.uint8]) -> None:
        """Find the stand-in of picture ``index``, and show it."""
        alike = np.flatnonzero(self.labels == self.labels[index])
        at = int(np.searchsorted(alike, index))
        for other in [*alike[at + 1 :].tolist(), *alike[:at].tolist()]:
            if not self._decoders.fill(self._named([other]), out):
                self._skipped(index, other, reason)
                return
        raise DataError(
            f"{self._where}: no picture of class {self.labels[index]} can be decoded, "
            f"e.g. {readable(self._names[index])}: {reason}; remove the class or mend it"
        )

    def _skipped(self, index: int, other: int, reason: str) -> None:
        if index in self.stand_ins:
            return
        for known, shown in self.stand_ins.items():
            if shown == index:
                self.stand_ins[known] = other
        self.stand_ins[index] = other
        name, instead = readable(self._names[index]), readable(self._names[other])
        self._say(f"{self._where}/{name} is skipped: {reason}; {instead} stands in ({len(self.stand_ins)} so far)")
