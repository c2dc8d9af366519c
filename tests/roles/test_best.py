"""The best weights of a training are kept, also where checkpoints are rare."""

from pathlib import Path

import pytest

from lib.checkpoints.checkpoint import CheckpointFolder
from lib.config import Config, DataConfig, LoggingConfig, ModelConfig, RunConfig
from lib.roles.trainer import Trainer
from tests.roles.in_process import Run


def test_each_epoch_that_is_the_best_so_far_is_saved(
    tmp_path: Path, small_data_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors, real = [0.5, 0.6, 0.4, 0.7, 0.7], Trainer.validate

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
    kept = CheckpointFolder(tmp_path / "checkpoints", keep=9)
    assert kept.best() == tmp_path / "checkpoints/epoch003_iter00000.pt"
    saved = sorted(path.stem for path in (tmp_path / "checkpoints").glob("*.pt"))
    assert saved == ["epoch001_iter00000", "epoch003_iter00000", "epoch005_iter00000"]
