"""What a recorder asks of a tracker."""

from collections.abc import Mapping
from typing import Protocol


class Tracker(Protocol):
    """Takes the figures of a run."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Named figures after ``step`` iterations of the whole run."""

    def close(self) -> None:
        """Everything is written."""
