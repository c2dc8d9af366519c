"""A checkpoint of an older format resumes the training exactly."""

from pathlib import Path

import torch

from lib.config.schema import Config, DataConfig, LoggingConfig, ModelConfig, RunConfig
from tests.support.data_sets import write_data_set
from tests.support.in_process import Run

# The keys of format 2 that format 3 renamed.
OLD_KEYS = {"momentum": "velocities", "rollbacks": "rewinds"}


def config(data_set: Path, weights_dir: Path, n_epochs: int) -> Config:
    return Config(
        run=RunConfig(weights_dir=weights_dir, n_epochs=n_epochs, snapshot_freq=1),
        data=DataConfig(dir=data_set),
        model=ModelConfig(name="tiny"),
        logging=LoggingConfig(report=False, tensorboard=False, quiet=True),
        devices=("cpu",),
        batch_size=8,
    )


def to_format_2(path: Path) -> None:
    """Rewrite a checkpoint as format 2, without a checksum, as older versions wrote it."""
    state = torch.load(path, weights_only=True)
    state = {OLD_KEYS.get(key, key): value for key, value in state.items()} | {"format": 2}
    assert set(OLD_KEYS.values()) <= state.keys()
    torch.save(state, path)


def test_a_checkpoint_of_format_2_resumes_exactly(tmp_path: Path) -> None:
    data_set = write_data_set(tmp_path / "data", train=24, val=16).dir
    _, _, expected = Run(config(data_set, tmp_path / "whole", 2)).train()
    Run(config(data_set, tmp_path / "resumed", 1)).train()
    to_format_2(tmp_path / "resumed/checkpoints/epoch001_iter00000.pt")
    feed, progress, weights = Run(config(data_set, tmp_path / "resumed", 2)).train()
    assert progress.epoch == 2
    assert feed.asked_for == 3 + 2  # batches of one epoch of training and validation: it did not start anew
    assert all(torch.equal(value, weights[name]) for name, value in expected.items())
