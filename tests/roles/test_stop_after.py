"""``run.stop_after`` ends a training without a better validation; a resume ends at the same epoch."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lib.checkpoints.folder import CheckpointFolder
from lib.checkpoints.progress import Progress
from lib.config.schema import Config, DataConfig, LoggingConfig, ModelConfig, RunConfig
from lib.roles.trainer import Trainer
from tests.support.in_process import Run

ERRORS = [0.5, 0.4, 0.4, 0.6, 0.5, 0.3, 0.7, 0.7]
Train = Callable[..., Progress]


@pytest.fixture
def train(tmp_path: Path, small_data_set: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Train, or continue, with these validation errors; return the progress."""
    real = Trainer.validate

    def validate(self: Trainer) -> bool:
        done = real(self)
        self.progress.val_record[-1] = ERRORS[self.progress.epoch], 1.0
        return done

    monkeypatch.setattr(Trainer, "validate", validate)
    config = Config(
        data=DataConfig(dir=small_data_set),
        model=ModelConfig(name="tiny"),
        logging=LoggingConfig(report=False, tensorboard=False, quiet=True),
        devices=("cpu",),
        batch_size=8,
    )

    def run(**more: Any) -> Progress:
        options = RunConfig(weights_dir=tmp_path, n_epochs=8, snapshot_freq=1, keep=9)
        return Run(replace(config, run=replace(options, **more))).train()[1]

    return run


def test_it_stops_where_the_error_did_not_fall_for_that_many_epochs(tmp_path: Path, train: Train) -> None:
    assert train(stop_after=3, snapshot_freq=99).epoch == 5  # equal to the best, worse, worse
    latest = CheckpointFolder(tmp_path / "checkpoints", keep=9).latest()
    assert latest
    assert latest.name == "epoch005_iter00000.pt"
    assert train(stop_after=3).epoch == 5, "nothing is left to do"
    assert train(stop_after=4).epoch == 8, "a larger number goes on"


@pytest.mark.parametrize("epoch", [1, 3, 4])
def test_a_resume_stops_at_the_same_epoch(tmp_path: Path, train: Train, epoch: int) -> None:
    train(stop_after=3)
    start = tmp_path / f"checkpoints/epoch{epoch:03d}_iter00000.pt"
    shutil.copy(start, tmp_path / "start.pt")
    assert train(stop_after=3, resume=str(tmp_path / "start.pt")).epoch == 5


def test_without_it_all_epochs_are_trained(train: Train) -> None:
    assert train().epoch == 8
