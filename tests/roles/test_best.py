"""The best weights of a training are saved, even if checkpoints are rare."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from lib.checkpoints.checkpoint import Checkpoint
from lib.checkpoints.folder import CheckpointFolder
from lib.config.schema import Config, DataConfig, LoggingConfig, ModelConfig, RunConfig
from lib.roles.trainer import Trainer
from tests.support.in_process import Run


@pytest.fixture
def saved(tmp_path: Path, small_data_set: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], list[str]]:
    """Train with these validation errors and return the epochs that have a checkpoint."""
    real = Trainer.validate

    def train(errors: list[float]) -> list[str]:
        def validate(self: Trainer) -> bool:
            done = real(self)
            self.progress.val_record[-1] = errors[self.progress.epoch], 1.0
            return done

        monkeypatch.setattr(Trainer, "validate", validate)
        config = Config(
            run=RunConfig(weights_dir=tmp_path, n_epochs=5, snapshot_freq=99, keep=9),
            data=DataConfig(dir=small_data_set),
            model=ModelConfig(name="tiny"),
            logging=LoggingConfig(report=False, tensorboard=False, quiet=True),
            devices=("cpu",),
            batch_size=8,
        )
        Run(config).train()
        return sorted(path.name.partition("_")[0] for path in (tmp_path / "checkpoints").glob("*.pt"))

    return train


def best(folder: Path) -> str:
    path = CheckpointFolder(folder / "checkpoints", keep=9).best()
    assert path
    return path.name


def test_each_epoch_that_is_the_best_so_far_is_saved(tmp_path: Path, saved: Callable[[list[float]], list[str]]) -> None:
    assert saved([0.5, 0.6, 0.4, 0.7, 0.7]) == ["epoch001", "epoch003", "epoch005"]
    assert best(tmp_path) == "epoch003_iter00000.pt"


def test_training_does_not_wait_for_a_best_checkpoint(
    tmp_path: Path, saved: Callable[[list[float]], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first save ends after the fourth epoch. The third epoch waits for it, in place of the second."""
    fourth_done, real, train = Event(), CheckpointFolder.save, Trainer.train_epoch

    def save(self: CheckpointFolder, checkpoint: Checkpoint, *more: Any, **options: Any) -> Path:
        assert checkpoint.epoch > 1 or fourth_done.wait(30)
        return real(self, checkpoint, *more, **options)

    def train_epoch(self: Trainer) -> None:
        if self.progress.epoch == 4:
            fourth_done.set()
        train(self)

    monkeypatch.setattr(CheckpointFolder, "save", save)
    monkeypatch.setattr(Trainer, "train_epoch", train_epoch)
    assert saved([0.5, 0.4, 0.3, 0.7, 0.7]) == ["epoch001", "epoch003", "epoch005"]
    assert best(tmp_path) == "epoch003_iter00000.pt"
