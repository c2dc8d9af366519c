"""An update of several batches equals the update of one larger batch, and is never made of some of them."""

import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.checkpoints.checkpoint import load
from lib.checkpoints.progress import Progress
from lib.config.schema import Config, DataConfig, ExchangeConfig, LoggingConfig, ModelConfig, OptimizerConfig, RunConfig
from lib.roles.trainer import Trainer
from tests.support.in_process import Run
from tests.support.replicas import run_replicas

Weights = dict[str, torch.Tensor]


@pytest.fixture
def run(tmp_path: Path, small_data_set: Path) -> Callable[..., Run]:
    """Return a function that resumes a training from the same first epoch.

    One worker trains that epoch, without dropout: threads of a process share PyTorch's random number generator.
    """

    def make(folder: Path, *, workers: int, n_epochs: int = 2, batch_size: int, **optimizer: Any) -> Run:
        return Run(
            Config(
                run=RunConfig(weights_dir=folder, n_epochs=n_epochs),
                data=DataConfig(dir=small_data_set),
                model=ModelConfig(name="tiny_without_dropout"),
                optimizer=OptimizerConfig(**optimizer),
                logging=LoggingConfig(print_freq=1, report=False, tensorboard=False, quiet=True),
                exchange=ExchangeConfig(method="peer" if workers > 1 else "none"),
                devices=("cpu",) * workers,
                batch_size=batch_size,
            )
        )

    make(tmp_path / "first", workers=1, n_epochs=1, batch_size=6).train()

    def plan_from(name: str, **options: Any) -> Run:
        return make(shutil.copytree(tmp_path / "first", tmp_path / name), **options)

    return plan_from


def two(folder: Path, training: Run) -> list[tuple[Progress, Weights]]:
    """Train two workers; return the progress and the weights of each."""
    return run_replicas(2, lambda peer, rank: training.train(exchange=peer, rank=rank)[1:], folder)


def test_accumulated_batches_make_the_update_of_one_larger_batch(tmp_path: Path, run: Callable[..., Run]) -> None:
    """Of 24 images, two workers take 20 in two batches of 5 each, and then two each."""
    _, progress, whole = run("whole", workers=1, batch_size=20, label_smoothing=0.1).train()
    parts = run("parts", workers=2, batch_size=5, accumulate=2, label_smoothing=0.1)
    for there, weights in two(tmp_path, parts):
        assert there.epoch == progress.epoch == 2
        for name, value in whole.items():
            torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[int, int, int] | None], None]:
    """Return a function that requests a stop at (epoch, iteration, rank), before the gradients are added."""
    real = Trainer.dropout_seed

    def make(moment: tuple[int, int, int] | None) -> None:
        def dropout_seed(self: Trainer, iteration: int) -> int:
            if (self.progress.epoch, iteration, self.context.rank) == moment:
                self.exchange.request_stop()
            return real(self, iteration)

        monkeypatch.setattr(Trainer, "dropout_seed", dropout_seed)

    return make


def test_interrupted_at_any_batch_and_resumed_equals_uninterrupted(
    tmp_path: Path, run: Callable[..., Run], ask: Callable[[tuple[int, int, int] | None], None]
) -> None:
    """An epoch has four iterations, in updates of three and one."""
    whole = two(tmp_path, run("whole", workers=2, batch_size=3, accumulate=3))
    expected = load(tmp_path / "whole/checkpoints/epoch002_iter00000.pt").momentum
    for iteration, rank in product(range(4), range(2)):
        name = f"{iteration} {rank}"
        training = run(name, workers=2, batch_size=3, accumulate=3)
        ask((1, iteration, rank))
        for stopped, _ in two(tmp_path, training):
            assert (stopped.epoch, stopped.iteration) == (1, 3 if iteration < 3 else 4)
        ask(None)
        for (progress, weights), (undisturbed, same) in zip(two(tmp_path, training), whole, strict=True):
            assert progress == undisturbed
            assert all(torch.equal(value, same[key]) for key, value in weights.items())
        found = load(tmp_path / name / "checkpoints/epoch002_iter00000.pt").momentum
        assert all(torch.equal(value, expected[key]) for key, value in found.items())
