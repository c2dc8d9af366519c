"""The interface of a tracker, and what trackers with a server have in common."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Tracker(Protocol):
    """Logs the metrics of a run."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log ``values`` by name, after ``step`` iterations of the whole run."""

    def close(self) -> None:
        """Write everything and end."""


class RunIdFile:
    """The id that a tracker gave to a run, in a file of the run's folder: a resumed run continues under it."""

    def __init__(self, weights_dir: Path, tracker: str, step: int) -> None:
        """``step`` is the number of iterations done."""
        self._path = weights_dir / f"{tracker}_run.txt"
        self.run_id = self._path.read_text(encoding="utf-8").strip() if step and self._path.is_file() else None
        """None for a run that starts from iteration 0"""

    def save(self, run_id: str) -> None:
        self._path.write_text(f"{run_id}\n", encoding="utf-8")
