"""Metrics that are read some updates later, as on GPUs, equal metrics that are read at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.checkpoints.progress import Progress
from lib.config.schema import Config, DataConfig, LoggingConfig, ModelConfig, OptimizerConfig, RunConfig
from lib.data.feed import Feed
from lib.evaluation.metrics import Metrics
from lib.exchange.alone import Alone
from lib.exchange.base import Exchange
from lib.recording.intervals import IntervalMetrics
from lib.recording.recorder import NullRecorder
from lib.roles import trainer
from lib.roles.deferred_metrics import DeferredMetrics
from lib.training.snapshots import Snapshots
from lib.types import Phase
from tests.support import in_process
from tests.support.in_process import Run


class RecordingRecorder(NullRecorder):
    """Keeps the metrics that it is given, and after how many training iterations."""

    def __init__(self) -> None:
        self.phase, self.iterations = "", 0
        self.entries: list[tuple[Any, ...]] = []
        self.read_after: list[tuple[int, int]] = []

    def begin(self, phase: Phase, progress: Progress, iterations: int) -> None:
        self.phase = phase

    def step(self) -> None:
        self.iterations += self.phase == "train"

    def interval(self, progress: Progress, interval: IntervalMetrics) -> None:
        assert all(value >= 0 for value in interval.values.values())
        rate = interval.values["learning_rate"]
        self.entries.append(("train", progress.epoch, progress.iteration, *interval.totals, rate))
        self.read_after.append((3 * progress.epoch + progress.iteration, self.iterations))

    def validation(self, progress: Progress, metrics: Metrics) -> None:
        self.entries.append(("val", progress.epoch, progress.iteration, metrics))

    def validation_subset(self, progress: Progress, metrics: Metrics) -> None:
        self.entries.append(("subset", progress.epoch, progress.iteration, metrics))


@pytest.fixture
def run_behind(
    tmp_path: Path, small_data_set: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[RecordingRecorder, Progress]]:
    def run(
        behind: int,
        *,
        print_freq: int,
        batch_size: int = 8,
        exchange: Exchange | None = None,
        broken: int | None = None,
        accumulate: int = 1,
        snapshot_minutes: float = 30,
        **options: Any,
    ) -> tuple[RecordingRecorder, Progress]:
        class Late(DeferredMetrics):
            def __init__(self, device: Any, feed: Feed, exchange: Exchange) -> None:
                super().__init__(device, feed, exchange)
                self.behind = behind

        recorder = RecordingRecorder()
        monkeypatch.setattr(trainer, "DeferredMetrics", Late)
        monkeypatch.setattr(in_process, "NullRecorder", lambda: recorder)
        config = Config(
            run=RunConfig(weights_dir=tmp_path / f"{behind}", n_epochs=2, snapshot_minutes=snapshot_minutes),
            data=DataConfig(dir=small_data_set),
            model=ModelConfig(name="tiny"),
            optimizer=OptimizerConfig(accumulate=accumulate),
            logging=LoggingConfig(print_freq=print_freq, report=False, tensorboard=False, quiet=True, **options),
            devices=("cpu",),
            batch_size=batch_size,
        )
        _, progress, _ = Run(config).train(broken, exchange=exchange)
        return recorder, progress

    return run


@pytest.mark.parametrize("print_freq", [1, 2])
def test_deferred_metrics_equal_immediate_ones_in_order(
    run_behind: Callable[..., tuple[RecordingRecorder, Progress]], print_freq: int
) -> None:
    at_once, progress = run_behind(0, print_freq=print_freq, val_freq=2, val_images=8)
    later, progress_later = run_behind(2, print_freq=print_freq, val_freq=2, val_images=8)
    assert later.entries == at_once.entries
    assert [kind for kind, *_ in at_once.entries].count("train") == 2 * len({*range(print_freq, 3, print_freq), 3})
    assert progress_later == progress


def test_metrics_noted_within_an_epoch_are_read_two_updates_later(
    run_behind: Callable[..., tuple[RecordingRecorder, Progress]],
) -> None:
    recorder, _ = run_behind(2, print_freq=1)
    assert recorder.read_after == [(1, 3), (2, 3), (3, 3), (4, 6), (5, 6), (6, 6)]


class StopsWhileGathering(Alone):
    """An exchange that learns of a stop while metrics are gathered, between two notes, as on GPUs."""

    def sync_stop(self) -> None:
        self.stop_requested = True


def test_a_stop_between_two_notes_reports_everything_trained(
    run_behind: Callable[..., tuple[RecordingRecorder, Progress]],
) -> None:
    exchange = StopsWhileGathering(torch.device("cpu"))
    recorder, progress = run_behind(2, print_freq=3, batch_size=4, exchange=exchange)
    assert progress.iteration == 3 + 2
    images = [(iteration, n) for _, _, iteration, *_, n, _ in recorder.entries]
    assert images == [(3, 12), (5, 8)]


@pytest.mark.parametrize(("accumulate", "broken"), [(1, 4), (2, 3), (1, 8), (2, 9)])
def test_every_checkpoint_follows_the_metrics_of_all_images_that_it_has_seen(
    run_behind: Callable[..., tuple[RecordingRecorder, Progress]],
    monkeypatch: pytest.MonkeyPatch,
    accumulate: int,
    broken: int,
) -> None:
    """Checkpoints come with the clock, after each epoch, and where a batch cannot be read."""
    recorders: list[RecordingRecorder] = []
    saved: list[tuple[int, float]] = []
    save = Snapshots.save

    def check(self: Snapshots, progress: Progress, *, writes: bool) -> None:
        if writes:
            recorded = sum(entry[6] for entry in recorders[0].entries if entry[:2] == ("train", progress.epoch))
            saved.append((4 * progress.iteration, recorded))
        save(self, progress, writes=writes)

    class Kept(RecordingRecorder):
        def __init__(self) -> None:
            super().__init__()
            recorders.append(self)

    monkeypatch.setattr(f"{__name__}.RecordingRecorder", Kept)
    monkeypatch.setattr(Snapshots, "save", check)
    run_behind(2, print_freq=100, batch_size=4, broken=broken, accumulate=accumulate, snapshot_minutes=1e-9)
    assert len(saved) >= 2
    assert all(seen == recorded for seen, recorded in saved if seen)
