"""Trainings whose replicas differ between exchanges validate and save the same weights on all of them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lib.checkpoints.checkpoint import load
from lib.checkpoints.folder import CheckpointFolder
from lib.config.schema import Config, DataConfig, ExchangeConfig, LoggingConfig, ModelConfig, RunConfig
from lib.evaluation.metrics import Metrics
from lib.exchange.peer import Peer
from lib.roles.validation import Validation
from tests.support.in_process import Run
from tests.support.replicas import run_replicas


def config(data_set: Path, weights_dir: Path, exchange: ExchangeConfig, minutes: float) -> Config:
    return Config(
        run=RunConfig(weights_dir=weights_dir, n_epochs=2, snapshot_minutes=minutes, snapshot_freq=2, keep=9),
        data=DataConfig(dir=data_set),
        model=ModelConfig(name="tiny_without_dropout"),
        logging=LoggingConfig(print_freq=2, val_freq=2, val_images=8, report=False, tensorboard=False, quiet=True),
        exchange=exchange,
        devices=("cpu", "cpu"),
        batch_size=4,
    )


@pytest.mark.parametrize(
    "exchange", [ExchangeConfig(method="peer", every=4), ExchangeConfig(method="peer", rule="elastic", every=4)]
)
def test_replicas_are_equal_when_validated_and_saved(
    tmp_path: Path, small_data_set: Path, monkeypatch: pytest.MonkeyPatch, exchange: ExchangeConfig
) -> None:
    """An epoch has three iterations, so the exchange falls into the second. The trainer verifies after each epoch."""
    real = Validation.whole_set

    def whole_set(self: Validation, *arguments: Any) -> Metrics | None:
        self._exchange.verify(self._replica.flat.state)
        return real(self, *arguments)

    monkeypatch.setattr(Validation, "whole_set", whole_set)
    run = Run(config(small_data_set, tmp_path / "run", exchange, minutes=0))

    def body(peer: Peer, rank: int) -> list[tuple[float, float]]:
        return run.train(exchange=peer, rank=rank)[1].val_record

    first, second = run_replicas(2, body, tmp_path)
    assert first == second
    saved = load(tmp_path / "run/checkpoints/epoch002_iter00000.pt")
    at_rest = all(not velocity.any() for velocity in saved.momentum.values())
    assert at_rest == (exchange.rule == "elastic")


def test_within_an_epoch_checkpoints_follow_an_exchange(tmp_path: Path, small_data_set: Path) -> None:
    """A checkpoint is always due here. A save at another moment would hold one replica, not the average."""
    run = Run(config(small_data_set, tmp_path / "run", ExchangeConfig(method="peer", every=2), minutes=1e-9))
    run_replicas(2, lambda peer, rank: run.train(exchange=peer, rank=rank)[1], tmp_path)
    names = {path.name for path in (tmp_path / "run/checkpoints").glob("*.pt")}
    assert names == {"epoch000_iter00002.pt", "epoch001_iter00000.pt", "epoch001_iter00002.pt", "epoch002_iter00000.pt"}
    assert CheckpointFolder(tmp_path / "run/checkpoints", keep=9).latest()
    assert torch.isfinite(load(tmp_path / "run/checkpoints/epoch001_iter00002.pt").val_record).all()
