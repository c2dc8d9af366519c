"""What a recorder asks of a tracker, and what trackers elsewhere have in common."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Tracker(Protocol):
    """Takes the figures of a run."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Named figures after ``step`` iterations of the whole run."""

    def close(self) -> None:
        """Everything is written."""


class KeptId:
    """The name that a tracker elsewhere gave a run, kept in the run's folder: a resumed run goes on under it."""

    def __init__(self, weights_dir: Path, tracker: str, step: int) -> None:
        self._path = weights_dir / f"{tracker}_run.txt"
        self.known = self._path.read_text(encoding="utf-8").strip() if step and self._path.is_file() else None
        """None for a run that begins"""

    def keep(self, name: str) -> None:
        self._path.write_text(f"{name}\n", encoding="utf-8")
