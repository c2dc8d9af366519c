"""How many broken pictures are too many."""

from collections.abc import Sequence

from lib.errors import DataError
from preprocessing.journal import Skipped
from preprocessing.sources import SourceList


class SkipLimit:
    """Counts the pictures of one split that are left out, each once."""

    def __init__(self, source: SourceList, share: float, skipped: Sequence[Skipped]) -> None:
        """``share`` of the source list may be left out; ``skipped`` have been already.

        Raises DataError when these are too many, as ``add`` does.
        """
        self._source, self._share = source, share
        self._names: set[str] = set()
        for one in skipped:
            self.add(one)

    def add(self, skipped: Skipped) -> None:
        self._names.add(skipped.name)
        n_skipped, n_all = len(self._names), len(self._source.entries)
        if n_skipped <= self._share * n_all:
            return
        allowed = f"max_skipped allows {self._share:.4%}" if self._share else "none may be (--strict, max_skipped 0)"
        raise DataError(
            f"{n_skipped} of {n_all} {self._source.split} pictures in {self._source.root} cannot be used, "
            f"{allowed}; the last: {skipped.name}: {skipped.reason}. "
            "Mend them, or raise --max_skipped; started again, it goes on where it stopped"
        )
