"""Figures that are read some updates after they were noted, as on GPUs, are those that are read at once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.checkpoints.progress import Progress
from lib.config.schema import Config, DataConfig, LoggingConfig, ModelConfig, RunConfig
from lib.data.feed import Feed
from lib.evaluation.metrics import Metrics
from lib.exchange.alone import Alone
from lib.exchange.base import Exchange
from lib.recording.recorder import NullRecorder
from lib.roles import trainer
from lib.roles.deferred_metrics import DeferredMetrics
from tests.support import in_process
from tests.support.in_process import Run


class Witness(NullRecorder):
    """Keeps what it is told, and when."""

    def __init__(self) -> None:
        self.iterations = 0
        self.told: list[tuple[Any, ...]] = []
        self.told_after: list[tuple[int, int]] = []

    def iteration(self) -> None:
        self.iterations += 1

    def training(
        self, progress: Progress, totals: Sequence[float], rate: float, times: Sequence[float], world_size: int
    ) -> None:
        assert all(seconds >= 0 for seconds in times)
        self.told.append(("train", progress.epoch, progress.iteration, *totals, rate))
        self.told_after.append((3 * progress.epoch + progress.iteration, self.iterations))

    def validation(self, progress: Progress, figures: Metrics) -> None:
        self.told.append(("val", progress.epoch, progress.iteration, figures))

    def validation_subset(self, progress: Progress, figures: Metrics) -> None:
        self.told.append(("subset", progress.epoch, progress.iteration, figures))


@pytest.fixture
def run_behind(
    tmp_path: Path, small_data_set: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Witness, Progress]]:
    def run(
        behind: int, *, print_freq: int, batch_size: int = 8, exchange: Exchange | None = None, **options: Any
    ) -> tuple[Witness, Progress]:
        class Late(DeferredMetrics):
            def __init__(self, device: Any, feed: Feed, exchange: Exchange) -> None:
                super().__init__(device, feed, exchange)
                self.behind = behind

        witness = Witness()
        monkeypatch.setattr(trainer, "DeferredMetrics", Late)
        monkeypatch.setattr(in_process, "NullRecorder", lambda: witness)
        config = Config(
            run=RunConfig(weights_dir=tmp_path / f"{behind}", n_epochs=2),
            data=DataConfig(dir=small_data_set),
            model=ModelConfig(name="tiny"),
            logging=LoggingConfig(print_freq=print_freq, report=False, tensorboard=False, quiet=True, **options),
            devices=("cpu",),
            batch_size=batch_size,
        )
        _, progress, _ = Run(config).train(exchange=exchange)
        return witness, progress

    return run


@pytest.mark.parametrize("print_freq", [1, 2])
def test_deferred_metrics_equal_immediate_ones_in_order(
    run_behind: Callable[..., tuple[Witness, Progress]], print_freq: int
) -> None:
    at_once, progress = run_behind(0, print_freq=print_freq, val_freq=2, val_images=8)
    later, progress_later = run_behind(2, print_freq=print_freq, val_freq=2, val_images=8)
    assert later.told == at_once.told
    assert [kind for kind, *_ in at_once.told].count("train") == 2 * len({*range(print_freq, 3, print_freq), 3})
    assert progress_later == progress


def test_metrics_noted_within_an_epoch_are_read_two_updates_later(
    run_behind: Callable[..., tuple[Witness, Progress]],
) -> None:
    witness, _ = run_behind(2, print_freq=1)
    assert witness.told_after == [(1, 3), (2, 3), (3, 3), (4, 6), (5, 6), (6, 6)]


class LeavesWhenTold(Alone):
    """As on GPUs, a host that is asked to leave may hear of it where figures are gathered, between two notes."""

    def sync_stop(self) -> None:
        self.stop_requested = True


def test_a_stop_between_two_notes_reports_everything_trained(
    run_behind: Callable[..., tuple[Witness, Progress]],
) -> None:
    exchange = LeavesWhenTold(torch.device("cpu"))
    witness, progress = run_behind(2, print_freq=3, batch_size=4, exchange=exchange)
    assert progress.iteration == 3 + 2
    images = [(iteration, n) for _, _, iteration, *_, n, _ in witness.told]
    assert images == [(3, 12), (5, 8)]
