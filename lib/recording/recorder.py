"""Record a run: metrics on disk and in trackers, the log, the console, and the report's updates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from ..checkpoints.progress import Progress
from ..config.schema import LoggingConfig
from ..errors import first_line
from ..evaluation.metrics import Metrics
from ..system.terminal import printable
from ..types import Phase
from .console import open_console
from .intervals import EpochSums, IntervalMetrics, WaitAdvice
from .log import open_log
from .metric_table import describe
from .metrics_log import MetricsLog, write_val_record
from .profiler import start_profiler
from .refresher import Refresher
from .trackers import Tracker


class NullRecorder:
    """Records nothing. Worker 0 has a ``Recorder`` and records for all; the other workers have this one."""

    def info(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...
    def begin(self, phase: Phase, progress: Progress, iterations: int) -> None: ...
    def step(self) -> None: ...
    def first(self, values: Mapping[str, float]) -> None: ...
    def end(self) -> None: ...
    def interval(self, progress: Progress, interval: IntervalMetrics) -> None: ...
    def validation(self, progress: Progress, metrics: Metrics) -> None: ...
    def validation_subset(self, progress: Progress, metrics: Metrics) -> None: ...
    def saved(self, path: Path) -> None: ...
    def refresh_page(self) -> None: ...
    def close(self) -> None: ...


class Recorder(NullRecorder):
    """Writes ``metrics.jsonl``, ``val_record.npy``, the log and the trackers' files, and drives the console."""

    def __init__(
        self,
        weights_dir: Path,
        logging: LoggingConfig,
        role: str,
        progress: Progress,
        *,
        n_epochs: int,
        iterations: int,
        trackers: Sequence[Tracker],
        slow_data_advice: Callable[[], str],
        device: torch.device,
    ) -> None:
        """Record a run of ``iterations`` per epoch. ``slow_data_advice`` is that of ``WaitAdvice``."""
        self._weights_dir, self._iterations = weights_dir, iterations
        self._metrics = MetricsLog(weights_dir / "metrics.jsonl", epoch=progress.epoch, iteration=progress.iteration)
        self._console = open_console(n_epochs, quiet=logging.quiet)
        self._log = open_log(weights_dir, role)
        if damaged := self._metrics.damaged:
            self.warning(f"lines left out of metrics.jsonl as damaged: {damaged}; the figures in them are lost")
        self._trackers = list(trackers)
        self._refresher = Refresher(weights_dir) if logging.report else None
        self._advice = WaitAdvice(slow_data_advice)
        self._epoch, self._phase, self._profiler = EpochSums(), "", None
        if logging.profile:
            self._profiler = start_profiler(weights_dir / "trace.json.gz", logging.profile, device, self.info)

    def info(self, text: str) -> None:
        """Write lines to the console and to the log."""
        text = printable(text)
        self._console.info(text)
        self._log.info(text)

    def warning(self, text: str) -> None:
        text = printable(text)
        self._console.warning(text)
        self._log.warning(text)

    def begin(self, phase: Phase, progress: Progress, iterations: int) -> None:
        """Begin or continue a phase of ``iterations`` iterations, "train" or "val"."""
        self._phase = phase
        if phase == "train":
            self._epoch = EpochSums()
            for entry in self._metrics.current_epoch:
                if (entry.kind, entry.epoch) == ("train", progress.epoch + 1):
                    self._epoch.add(entry.sums, entry.values.get("learning_rate", 0.0), entry.seconds)
        self._console.begin(phase, progress.epoch + 1, progress.iteration if phase == "train" else 0, iterations)

    def step(self) -> None:
        """Count one more iteration of the phase."""
        self._console.step()
        if self._profiler and self._phase == "train":
            self._profiler.step()

    def first(self, values: Mapping[str, float]) -> None:
        """Show the metrics of the first iteration of this process, before the first interval is complete."""
        self._console.first(values)

    def end(self) -> None:
        self._console.end()

    def interval(self, progress: Progress, interval: IntervalMetrics) -> None:
        """Record the metrics of an interval of training."""
        self._epoch.add(interval.totals, interval.values["learning_rate"], interval.seconds)
        self._write("train", progress, interval.values)
        self._console.interval(progress.iteration, interval.values)
        if advice := self._advice.after(interval.values["wait"], interval.seconds):
            self.warning(advice)

    def validation(self, progress: Progress, metrics: Metrics) -> None:
        """Record the metrics of an epoch's validation, the latest in ``progress.val_record``."""
        self._write("val", progress, asdict(metrics))
        write_val_record(self._weights_dir / "val_record.npy", np.array(progress.val_record))
        self._log.info(f"epoch {progress.epoch + 1}: validation {describe(metrics)}")
        self._console.epoch(self._epoch.row(progress.epoch + 1, metrics, is_best=progress.improved))

    def validation_subset(self, progress: Progress, metrics: Metrics) -> None:
        """Record the metrics of the subset that is evaluated within an epoch."""
        self._write("val_subset", progress, asdict(metrics))
        place = f"epoch {progress.epoch + 1}, iteration {progress.iteration}"
        self.info(f"{place}: {metrics.images:,} validation images: {describe(metrics)}")

    def saved(self, path: Path) -> None:
        """Record that there is a new checkpoint."""
        self._log.info(f"saved {path}")
        self.refresh_page()

    def refresh_page(self) -> None:
        """Start to rewrite the report, which can show more now."""
        if self._refresher:
            self._refresher.refresh()

    def close(self) -> None:
        """Close all files. The run has ended, or continues with another recorder."""
        self._console.end()
        self._metrics.close()
        self._each_tracker(lambda tracker: tracker.close())
        if self._refresher:
            self._refresher.close()

    def _write(self, kind: Phase, progress: Progress, values: Mapping[str, float]) -> None:
        """Write ``values`` to ``metrics.jsonl`` and to the trackers, there as ``kind/NAME``."""
        self._metrics.write(kind, progress.epoch + 1, progress.iteration, values)
        scalars = {f"{kind}/{name}": value for name, value in values.items() if name != "images"}
        step = progress.epoch * self._iterations + progress.iteration
        self._each_tracker(lambda tracker: tracker.scalars(scalars, step))

    def _each_tracker(self, call: Callable[[Tracker], None]) -> None:
        """Call every tracker. One that fails is dropped: a tracker must not end a run."""
        for tracker in tuple(self._trackers):
            try:
                call(tracker)
            except Exception as error:  # of any type: it depends on the tracker's library
                self._trackers.remove(tracker)
                self.warning(f"{type(tracker).__name__} failed ({first_line(error)}); nothing more is logged there")
