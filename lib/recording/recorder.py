"""What is kept and shown of a run: figures on disk, the log, and the console."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from lib.checkpoints.progress import Progress
from lib.config.schema import Config
from lib.data.plan import Plan
from lib.data.sources.registry import source_kind
from lib.errors import first_line
from lib.evaluation.metrics import Metrics
from lib.models.recipes import dotted
from lib.recording.console import BrokenPipeGuard, console, describe
from lib.recording.intervals import EpochSums, WaitAdvice
from lib.recording.log import open_log
from lib.recording.metrics_log import MetricsLog, write_val_record
from lib.recording.profiler import NoProfiler, Profiler, Tracer
from lib.recording.refresher import Refresher
from lib.recording.trackers.base import Tracker
from lib.recording.trackers.registry import open_trackers


class Recorder:
    """Writes ``metrics.jsonl``, ``val_record.npy``, the log and the trackers' files, and shows how it goes.

    Worker 0 has one and records for all; the others have a ``NullRecorder``.
    """

    def __init__(
        self,
        config: Config,
        role: str,
        progress: Progress,
        *,
        iterations: int,
        trackers: Sequence[Tracker],
        device: torch.device,
    ) -> None:
        self._weights_dir, self._iterations = config.run.weights_dir, iterations
        self._metrics = MetricsLog(
            self._weights_dir / "metrics.jsonl", epoch=progress.epoch, iteration=progress.iteration
        )
        self._console = BrokenPipeGuard(console(config.run.n_epochs, quiet=config.logging.quiet))
        self._log = open_log(self._weights_dir, role)
        if damaged := self._metrics.damaged:
            self.warn(f"lines left out of metrics.jsonl as damaged: {damaged}; the figures in them are lost")
        self._trackers = list(trackers)
        self._refresher = Refresher(self._weights_dir) if config.logging.report else None
        self._advice = WaitAdvice(source_kind(config.data.source).faster(config.data))
        self._epoch = EpochSums()
        self._profiler: Profiler = NoProfiler()
        if config.logging.profile:
            trace = self._weights_dir / "trace.json.gz"
            self._profiler = Tracer(trace, config.logging.profile, device, self.say)

    def say(self, text: str) -> None:
        """To the terminal and to the log."""
        self._console.say(text)
        self._log.info(text)

    def warn(self, text: str) -> None:
        """To the terminal, so that it is seen, and to the log."""
        self._console.warn(text)
        self._log.warning(text)

    def log(self, text: str) -> None:
        """To the log only."""
        self._log.info(text)

    def epoch(self, progress: Progress, iterations: int) -> None:
        """An epoch of so many iterations begins, or goes on."""
        self._epoch = EpochSums()
        for entry in self._metrics.taken_over:
            if (entry.kind, entry.epoch) == ("train", progress.epoch + 1):
                self._epoch.add(entry.sums, entry.learning_rate, entry.seconds)
        self._console.phase("training", progress.epoch + 1, progress.iteration, iterations)

    def iteration(self) -> None:
        """One more training iteration is done."""
        self._console.iteration()
        self._profiler.step()

    def validating(self, progress: Progress, iterations: int) -> None:
        """A validation of so many iterations begins."""
        self._console.phase("validation", progress.epoch + 1, 0, iterations)

    def validated(self) -> None:
        """One more validation iteration is done."""
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
        figures = Metrics.of(totals)
        more = {
            "learning_rate": rate,
            "images_per_s": figures.images * world_size / elapsed,
            "wait": waited / elapsed,
            "compute": (elapsed - waited - exchanged) / elapsed,
            "exchange": exchanged / elapsed,
        }
        self._epoch.add(totals, rate, elapsed / world_size)
        self._metrics.write("train", progress.epoch + 1, progress.iteration, figures, more)
        self._track("train", figures, more, progress)
        self._console.training(progress.iteration, figures, more)
        if advice := self._advice.after(waited / world_size, elapsed / world_size):
            self.warn(advice)

    def validation(self, progress: Progress, figures: Metrics) -> None:
        """Figures of an epoch's validation, the newest in ``progress.val_record``."""
        self._metrics.write("val", progress.epoch + 1, progress.iteration, figures, {})
        write_val_record(self._weights_dir / "val_record.npy", np.array(progress.val_record))
        self._track("val", figures, {}, progress)
        self._log.info(f"epoch {progress.epoch + 1}: validation {describe(figures)}")
        self._console.epoch(self._epoch.row(progress.epoch + 1, figures, is_best=progress.improved))

    def validation_subset(self, progress: Progress, figures: Metrics) -> None:
        """Figures of the subset that is evaluated within an epoch."""
        self._metrics.write("val_subset", progress.epoch + 1, progress.iteration, figures, {})
        self._track("val_subset", figures, {}, progress)
        done = f"epoch {progress.epoch + 1}, iteration {progress.iteration}"
        self.say(f"{done}: {figures.images:,} validation images: {describe(figures)}")

    def end_of_phase(self) -> None:
        """The epoch's training is over."""
        self._console.close()

    def saved(self, path: Path) -> None:
        """There is a new checkpoint."""
        self.log(f"saved {path}")
        self.refresh_page()

    def refresh_page(self) -> None:
        """The page about the run can show more."""
        if self._refresher:
            self._refresher.refresh()

    def close(self) -> None:
        """The run is over, or goes on with another recorder."""
        self._console.close()
        self._metrics.close()
        self._tell_trackers(lambda tracker: tracker.close())
        if self._refresher:
            self._refresher.close()

    def _track(self, kind: str, figures: Metrics, more: Mapping[str, float], progress: Progress) -> None:
        values = {f"{kind}/{name}": value for name, value in (asdict(figures) | dict(more)).items() if name != "images"}
        step = progress.epoch * self._iterations + progress.iteration
        self._tell_trackers(lambda tracker: tracker.scalars(values, step))

    def _tell_trackers(self, tell: Callable[[Tracker], None]) -> None:
        """A tracker that fails is left out from then on: no run should end for its sake."""
        for tracker in tuple(self._trackers):
            try:
                tell(tracker)
            except Exception as error:  # of whatever kind its library has
                self._trackers.remove(tracker)
                self.warn(f"{type(tracker).__name__} failed ({first_line(error)}); nothing more is logged there")


def open_recorder(config: Config, role: str, progress: Progress, plan: Plan, device: torch.device) -> Recorder:
    """The recorder of worker 0, with the trackers that are wanted."""
    iterations = plan.train.iterations
    settings = {key: str(value) for key, value in dotted(config)}
    step = progress.epoch * iterations + progress.iteration
    trackers = open_trackers(config.logging, config.run.weights_dir, settings, step)
    return Recorder(config, role, progress, iterations=iterations, trackers=trackers, device=device)


class NullRecorder:
    """Records nothing, in the place of a ``Recorder``."""

    def say(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def log(self, text: str) -> None: ...
    def epoch(self, progress: Progress, iterations: int) -> None: ...
    def iteration(self) -> None: ...
    def validating(self, progress: Progress, iterations: int) -> None: ...
    def validated(self) -> None: ...
    def training(
        self,
        progress: Progress,
        totals: Sequence[float],
        rate: float,
        times: Sequence[float],
        world_size: int,
    ) -> None: ...
    def validation(self, progress: Progress, figures: Metrics) -> None: ...
    def validation_subset(self, progress: Progress, figures: Metrics) -> None: ...
    def end_of_phase(self) -> None: ...
    def saved(self, path: Path) -> None: ...
    def refresh_page(self) -> None: ...
    def close(self) -> None: ...
