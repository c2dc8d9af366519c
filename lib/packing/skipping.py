"""Limit the number of broken images that are skipped."""

from collections.abc import Sequence

from ..errors import DataError
from .journal import Skipped
from .sources import SourceList


class SkipLimit:
    """Counts the skipped images of one split, each once."""

    def __init__(self, source: SourceList, share: float, skipped: Sequence[Skipped]) -> None:
        """Allow ``share`` of the source list to be skipped, of which ``skipped`` have been already.

        Raises DataError if these are too many, as ``add`` does.
        """
        self._source, self._share = source, share
        self._names: set[str] = set()
        for one in skipped:
            self.add(one)

    def add(self, skipped: Skipped) -> None:
        """Count a skipped image. Raises DataError if there are too many."""
        self._names.add(skipped.name)
        n_skipped, total = len(self._names), len(self._source.entries)
        if n_skipped <= self._share * total:
            return
        allowed = f"max_skipped allows {self._share:.4%}" if self._share else "max_skipped 0 (or --strict) allows none"
        raise DataError(
            f"{n_skipped} of {total} {self._source.split} images in {self._source.root} cannot be decoded, "
            f"{allowed}; the last: {skipped.name}: {skipped.reason}. "
            "Fix them, or raise --max_skipped (0.05 allows 5 %); started again, packing continues where it stopped"
        )
