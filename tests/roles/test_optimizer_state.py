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
from lib.roles.step_builder import update_note
from lib.training.plain_step import PlainStep
from tests.support.in_process import Run
from tests.support.replicas import run_replicas

CASES: dict[str, dict[str, Any]] = {
    "adamw, clipped": {"name": "adamw", "clip_norm": 0.5},
    "radam with lookahead": {"name": "radam", "lookahead": 2, "betas": (0.9, 0.9)},
    "lamb": {"name": "lamb"},
    "sgd with lookahead": {"lookahead": 4},
    "torch's NAdam": {"name": "NAdam", "lookahead": 2},
    "torch's RMSprop": {"name": "RMSprop", "options": "momentum=0.9", "clip_norm": 0.5},
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


@pytest.mark.parametrize("workers", [1, 2])
def test_the_average_over_time_is_validated_saved_and_resumed(
    tmp_path: Path, small_data_set: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against an average of the weights after each update. An extra validation within an epoch changes nothing."""
    steps: list[dict[str, Tensor]] = []

    def update(step: PlainStep, lr: float, weight_decay: float) -> None:
        original(step, lr, weight_decay)
        steps.append({name: p.detach().double().clone() for name, p in step._model.named_parameters()})

    def settings(folder: str, n_epochs: int, val_freq: int = 0) -> Config:
        base = config(small_data_set, tmp_path / folder, n_epochs, {"name": "adamw"})
        logging = replace(base.logging, val_freq=val_freq, val_images=8)
        return replace(base, model=replace(base.model, ema=0.6), logging=logging)

    original = PlainStep.update
    with monkeypatch.context() as patch:
        patch.setattr(PlainStep, "update", update)
        weights = trained(settings("whole", 2), workers, tmp_path)
    average = {name: value.double() for name, value in torch.load(tmp_path / "given.pt").items()}
    for number, step in enumerate(steps[::workers], 1):
        decay = min(0.6, number / (9 + number))
        average = {name: decay * value + (1 - decay) * step[name] for name, value in average.items()}
    saved = load(tmp_path / "whole/checkpoints/epoch002_iter00000.pt")
    for name, value in saved.parameters.items():
        torch.testing.assert_close(value.double(), average[name], rtol=1e-5, atol=5e-6)
        assert torch.equal(saved.slots["trained"][name], weights[name])
    for n_epochs in (1, 2):
        trained(settings("resumed", n_epochs, val_freq=2), workers, tmp_path)
    resumed = load(tmp_path / "resumed/checkpoints/epoch002_iter00000.pt")
    assert resumed.updates == saved.updates == 12
    assert all(torch.equal(value, resumed.parameters[name]) for name, value in saved.parameters.items())
    assert torch.equal(resumed.val_record, saved.val_record)


def test_the_average_may_be_switched_off_by_a_resume(tmp_path: Path, small_data_set: Path) -> None:
    """The training then continues from the weights in training, not from their average."""
    with_it, without = (config(small_data_set, tmp_path / "run", n_epochs, {}) for n_epochs in (1, 2))
    Run(replace(with_it, model=replace(with_it.model, ema=0.9))).train()
    found = Run(without).train()[2]
    whole = config(small_data_set, tmp_path / "whole", 2, {})
    expected = Run(whole).train()[2]
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


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


def test_what_is_unusual_about_the_update_is_said_at_the_start(tmp_path: Path) -> None:
    settings = config(tmp_path, tmp_path, 1, {"name": "NAdam"})
    assert update_note(settings) == ", updated by torch.optim.NAdam, slower than sgd, adamw, radam and lamb"
    settings = replace(settings, optimizer=OptimizerConfig(), model=ModelConfig(ema=0.99))
    assert update_note(settings) == ", averaged over time (model.ema 0.99): that is validated and saved"
    assert update_note(Config()) == ""
