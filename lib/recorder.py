"""What is kept and shown of a run: figures on disk, the log, and the console."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib.console import console, describe, details
from lib.log import open_log
from lib.metrics import Figures, MetricsLog, write_val_record
from lib.snapshots import Progress


class Clock:
    """Where the time of the last iterations went, in seconds."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._waited_s = 0.0
        self.exchanged_s = 0.0
        """spent exchanging since the last lap; the trainer adds to it"""

    def leave_out(self, elapsed_s: float, waited_s: float) -> None:
        """So much of this lap, and of its waiting, was spent on something else."""
        self._began += elapsed_s
        self._waited_s += waited_s

    def lap(self, waited_s: float) -> tuple[float, float, float]:
        """(elapsed, waited for data, exchanged) since the last lap. ``waited_s`` counts from the run's start."""
        now = time.perf_counter()
        times = now - self._began, waited_s - self._waited_s, self.exchanged_s
        self._began, self._waited_s, self.exchanged_s = now, waited_s, 0.0
        return times


class Recorder:
    """Writes ``metrics.jsonl``, ``val_record.npy`` and the log in ``weights_dir``, and shows a progress bar or lines.

    Worker 0 has one and records for all; the others have a ``Silence``.
    """

    def __init__(self, weights_dir: Path, role: str, progress: Progress, n_epochs: int) -> None:
        self._weights_dir, self._n_epochs = weights_dir, n_epochs
        self._metrics = MetricsLog(weights_dir / "metrics.jsonl", epoch=progress.epoch, iteration=progress.iteration)
        self._console = console()
        self._log = open_log(weights_dir, role)

    def say(self, text: str) -> None:
        """To the terminal and to the log."""
        self._console.say(text)
        self._log.info(text)

    def log(self, text: str) -> None:
        """To the log only."""
        self._log.info(text)

    def epoch(self, progress: Progress, iterations: int) -> None:
        """An epoch of so many iterations begins, or goes on."""
        self._console.epoch(progress.epoch + 1, self._n_epochs, progress.iteration, iterations)

    def iteration(self) -> None:
        """One more iteration is done."""
        self._console.iteration()

    def training(
        self,
        progress: Progress,
        totals: Sequence[float],
        rate: float,
        times: Sequence[float],
        world_size: int,
    ) -> None:
        """Figures of the last iterations.

        ``totals`` are the meters' sums over all workers; ``times`` the clocks', in seconds.
        """
        elapsed, waited, exchanged = times
        figures = Figures.of(totals)
        more = {
            "learning_rate": rate,
            "images_per_s": figures.images * world_size / elapsed,
            "wait": waited / elapsed,
            "compute": (elapsed - waited - exchanged) / elapsed,
            "exchange": exchanged / elapsed,
        }
        self._metrics.write("train", progress.epoch + 1, progress.iteration, figures, more)
        self._console.training(progress.iteration, details(figures, more))

    def validation(self, progress: Progress, figures: Figures) -> None:
        """Figures of an epoch's validation, the newest in ``progress.val_record``."""
        self._metrics.write("val", progress.epoch + 1, progress.iteration, figures, {})
        write_val_record(self._weights_dir / "val_record.npy", np.array(progress.val_record))
        self.say(f"epoch {progress.epoch + 1}: validation {describe(figures)}")

    def validation_subset(self, progress: Progress, figures: Figures) -> None:
        """Figures of the subset that is evaluated within an epoch."""
        self._metrics.write("val_subset", progress.epoch + 1, progress.iteration, figures, {})
        done = f"epoch {progress.epoch + 1}, iteration {progress.iteration}"
        self.say(f"{done}: {figures.images:,} validation images: {describe(figures)}")

    def end_of_training(self) -> None:
        """The epoch's training is over."""
        self._console.close()


class Silence:
    """Records nothing, in the place of a ``Recorder``."""

    def say(self, text: str) -> None: ...
    def log(self, text: str) -> None: ...
    def epoch(self, progress: Progress, iterations: int) -> None: ...
    def iteration(self) -> None: ...
    def training(
        self,
        progress: Progress,
        totals: Sequence[float],
        rate: float,
        times: Sequence[float],
        world_size: int,
    ) -> None: ...
    def validation(self, progress: Progress, figures: Figures) -> None: ...
    def validation_subset(self, progress: Progress, figures: Figures) -> None: ...
    def end_of_training(self) -> None: ...
