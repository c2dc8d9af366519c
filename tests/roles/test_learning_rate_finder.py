"""The sweep over learning rates trains the real network in the real order of images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lib.config.schema import Config, DataConfig, ExchangeConfig, ModelConfig, RunConfig
from lib.errors import DataError
from lib.exchange.alone import Alone
from lib.exchange.base import Exchange
from lib.recording.rate_sweep import Sweep, sweep_rates
from lib.roles.learning_rate_finder import SweepingTrainer, sweep_losses
from tests.support.in_process import Run


def run_of(folder: Path, data: Path, workers: int) -> Run:
    return Run(
        Config(
            run=RunConfig(weights_dir=folder / "models", resume="never", n_epochs=1),
            data=DataConfig(dir=data),
            model=ModelConfig(name="tiny_without_dropout"),
            exchange=ExchangeConfig(method="peer" if workers > 1 else "none"),
            devices=("cpu",) * workers,
            batch_size=8 // workers,
        )
    )


def swept(run: Run, exchange: Exchange, rank: int = 0, broken: int | None = None) -> tuple[Sweep, list[str]]:
    trainer, _ = run.worker(SweepingTrainer, broken, exchange, rank, val=False)
    said: list[str] = []
    return sweep_losses(trainer, said.append), said


def test_rates_rise_until_the_loss_diverges_over_several_epochs(tmp_path: Path, small_data_set: Path) -> None:
    """An epoch has three iterations, and the run one epoch."""
    sweep, said = swept(run_of(tmp_path, small_data_set, 1), Alone(torch.device("cpu")))
    assert 30 < len(sweep.losses) < 100
    assert sweep.rates.tolist() == sweep_rates()[: len(sweep.losses)].tolist()
    assert sweep.losses[0] == pytest.approx(np.log(4), rel=0.2)
    assert said[0].startswith("  10 of 100  rate 4.3e-06")
    assert not (tmp_path / "models").exists()


def test_a_batch_that_cannot_be_read_ends_the_sweep(tmp_path: Path, small_data_set: Path) -> None:
    with pytest.raises(DataError, match="00001.hkl is gone"):
        swept(run_of(tmp_path, small_data_set, 1), Alone(torch.device("cpu")), broken=5)
