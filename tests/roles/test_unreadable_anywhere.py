"""Whichever batch cannot be read, all workers stop after the same update, and a resume loses nothing."""

from pathlib import Path

import pytest
import torch

from lib.config.schema import Config, DataConfig, LoggingConfig, ModelConfig, OptimizerConfig, RunConfig
from lib.errors import DataError
from tests.support.in_process import Run


def config(data_set: Path, weights_dir: Path, accumulate: int, val_freq: int) -> Config:
    return Config(
        run=RunConfig(weights_dir=weights_dir, n_epochs=2),
        data=DataConfig(dir=data_set),
        model=ModelConfig(name="tiny"),
        optimizer=OptimizerConfig(accumulate=accumulate),
        logging=LoggingConfig(val_freq=val_freq, val_images=16),
        devices=("cpu",),
        batch_size=8,
    )


@pytest.mark.parametrize(("accumulate", "val_freq"), [(1, 2), (3, 2), (3, 0)])
def test_an_unreadable_batch_stops_all_workers_and_a_resume_loses_nothing(
    tmp_path: Path, small_data_set: Path, accumulate: int, val_freq: int
) -> None:
    feed, done, weights = Run(config(small_data_set, tmp_path / "undisturbed", accumulate, val_freq)).train()
    batches = 2 * (3 + val_freq + 2)  # per epoch: training, a subset of two batches within it, validation
    assert feed.asked_for == batches
    for broken in range(1, batches):
        run = Run(config(small_data_set, tmp_path / f"{broken}", accumulate, val_freq))
        stopped, _, _ = run.train(broken)
        assert stopped.failure
        assert (tmp_path / f"{broken}/checkpoints/latest").exists()
        _, again, resumed = run.train()
        assert again == done
        assert all(torch.equal(value, weights[name]) for name, value in resumed.items()), broken


def test_an_unreadable_first_batch_is_an_error_at_once(tmp_path: Path, small_data_set: Path) -> None:
    with pytest.raises(DataError, match="is gone"):
        Run(config(small_data_set, tmp_path / "run", 1, 2)).train(0)
    assert not (tmp_path / "run/checkpoints").exists()
