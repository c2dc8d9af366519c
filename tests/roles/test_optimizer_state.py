"""A training with any optimizer resumes bit for bit, on all workers, and never with another optimizer's state."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lib.checkpoints.checkpoint import load, write
from lib.config.schema import Config, DataConfig, ExchangeConfig, LoggingConfig, ModelConfig, OptimizerConfig, RunConfig
from lib.errors import CheckpointError
from lib.exchange.peer import Peer
from lib.models.tiny import Tiny
from tests.support.in_process import Run
from tests.support.replicas import run_replicas

CASES: dict[str, dict[str, Any]] = {
    "adamw, clipped": {"name": "adamw", "clip_norm": 0.5},
    "radam with lookahead": {"name": "radam", "lookahead": 2, "betas": (0.9, 0.9)},
    "lamb": {"name": "lamb"},
    "sgd with lookahead": {"lookahead": 4},
}


@pytest.fixture(autouse=True)
def given_weights(tmp_path: Path) -> None:
    """Save weights to begin with: new ones, and dropout, are drawn from a generator that threads share."""
    torch.manual_seed(3)
    torch.save(Tiny(4, 28, dropout=0.0).state_dict(), tmp_path / "given.pt")


def config(data_set: Path, weights_dir: Path, n_epochs: int, optimizer: dict[str, Any]) -> Config:
    return Config(
        run=RunConfig(weights_dir=weights_dir, n_epochs=n_epochs),
        data=DataConfig(dir=data_set),
        model=ModelConfig(name="tiny_without_dropout", weights=str(weights_dir.parent / "given.pt")),
        optimizer=OptimizerConfig(learning_rate=1e-3, **optimizer),
        logging=LoggingConfig(report=False, tensorboard=False, quiet=True),
        batch_size=4,
    )


def trained(settings: Config, workers: int, folder: Path) -> dict[str, Tensor]:
    """Train with so many workers and the same images an update; return worker 0's weights."""
    if workers == 1:
        return Run(settings).train()[2]
    settings = replace(
        settings,
        devices=("cpu",) * workers,
        exchange=ExchangeConfig(method="peer"),
        batch_size=settings.batch_size // workers,
    )
    run = Run(settings)

    def worker(peer: Peer, rank: int) -> dict[str, Tensor]:
        return run.train(exchange=peer, rank=rank)[2]

    first, *others = run_replicas(workers, worker, folder)
    assert all(torch.equal(first[name], other[name]) for other in others for name in first)
    return first


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_a_resumed_training_is_the_uninterrupted_one(
    tmp_path: Path, small_data_set: Path, name: str, workers: int
) -> None:
    expected = trained(config(small_data_set, tmp_path / "whole", 2, CASES[name]), workers, tmp_path)
    for n_epochs in (1, 2):
        weights = trained(config(small_data_set, tmp_path / "resumed", n_epochs, CASES[name]), workers, tmp_path)
    assert all(torch.equal(value, weights[name]) for name, value in expected.items())
    for path in (tmp_path / "resumed/checkpoints").glob("epoch*.pt"):
        assert load(path).updates == 6 * load(path).epoch


def test_the_state_of_another_optimizer_is_refused(tmp_path: Path, small_data_set: Path) -> None:
    Run(config(small_data_set, tmp_path / "run", 1, {"name": "adamw"})).train()
    with pytest.raises(CheckpointError, match="the state of optimizer.name adamw, here it is sgd; add --optim"):
        Run(config(small_data_set, tmp_path / "run", 2, {})).train()


def test_lookahead_may_be_switched_on_by_a_resume(tmp_path: Path, small_data_set: Path) -> None:
    """Slow weights then begin where the fast ones are, as if it had been on and never due."""
    lookahead = {"lookahead": 10_000}
    expected = trained(config(small_data_set, tmp_path / "whole", 2, {}), 1, tmp_path)
    for n_epochs, optimizer in ((1, {}), (2, lookahead)):
        weights = trained(config(small_data_set, tmp_path / "resumed", n_epochs, optimizer), 1, tmp_path)
    assert all(torch.equal(value, weights[name]) for name, value in expected.items())
    slow = load(tmp_path / "resumed/checkpoints/epoch002_iter00000.pt").slots["slow"]
    before = load(tmp_path / "resumed/checkpoints/epoch001_iter00000.pt").parameters
    assert all(torch.equal(value, before[name]) for name, value in slow.items())


def test_damaged_state_is_refused(tmp_path: Path, small_data_set: Path) -> None:
    Run(config(small_data_set, tmp_path / "run", 1, {"name": "adamw"})).train()
    path = tmp_path / "run/checkpoints/epoch001_iter00000.pt"
    saved = load(path)
    name, good = next(iter(saved.slots["second_moment"].items()))
    for tensor, says in (
        (good - 1, "its second moment is negative"),
        (good.double(), f"its second_moment of {name} has torch.float64 numbers"),
        (good / 0, f"its second_moment of {name} contains NaN or infinite numbers"),
        (good[:1], "its second_moment has other shapes than its parameters"),
    ):
        with path.open("w+b") as file:
            write(file, replace(saved, slots={"second_moment": {name: tensor}}))
        with pytest.raises(CheckpointError, match=says):
            load(path)
