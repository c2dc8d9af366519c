"""Trainings whose classifier is split: checkpoints, other numbers of workers, batches that cannot be read."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lib.checkpoints.checkpoint import Checkpoint, load
from lib.config.schema import (
    Config,
    DataConfig,
    ExchangeConfig,
    LoggingConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
)
from lib.exchange.peer import Peer
from tests.support.in_process import MemoryFeed, Run
from tests.support.replicas import run_replicas

TOTAL = 12
"""images per iteration, over all workers; of the 24 + 16 images the last batches are short"""


OPTIMIZERS: dict[str, tuple[OptimizerConfig, float]] = {
    "sgd": (OptimizerConfig(), 0.0),
    "adamw, clipped, averaged": (OptimizerConfig(name="adamw", learning_rate=1e-3, eps=1e-3, clip_norm=0.5), 0.9),
    "torch's Adagrad": (OptimizerConfig(name="Adagrad", learning_rate=1e-3, options="eps=1e-3"), 0.0),
    "radam, lookahead, averaged": (OptimizerConfig(name="radam", betas=(0.9, 0.9), lookahead=2), 0.9),
}
"""by name: the optimizer, and ``model.ema``"""


def config(
    data_set: Path, weights_dir: Path, *, workers: int, epochs: int, split: bool = True, optimizer: str = "sgd"
) -> Config:
    rule, ema = OPTIMIZERS[optimizer]
    return Config(
        run=RunConfig(weights_dir=weights_dir, n_epochs=epochs),
        data=DataConfig(dir=data_set),
        model=ModelConfig(name="tiny_without_dropout", parallel="classifier" if split else "none", ema=ema),
        optimizer=rule,
        logging=LoggingConfig(print_freq=2, report=False, tensorboard=False, quiet=True),
        exchange=ExchangeConfig(method="peer" if workers > 1 else "none"),
        devices=("cpu",) * workers,
        batch_size=TOTAL // workers,
    )


def train(settings: Config, folder: Path, broken: dict[int, int] | None = None) -> list[MemoryFeed]:
    """Train on all workers; the batch ``broken[rank]`` of a worker cannot be read."""
    run = Run(settings)

    def worker(peer: Peer, rank: int) -> MemoryFeed:
        return run.train(broken=(broken or {}).get(rank), exchange=peer, rank=rank)[0]

    if settings.world_size == 1:
        return [run.train()[0]]
    return run_replicas(settings.world_size, worker, folder)


def saved(weights_dir: Path, epoch: int) -> Checkpoint:
    return load(weights_dir / f"checkpoints/epoch{epoch:03d}_iter00000.pt")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw, clipped, averaged", "torch's Adagrad"])
def test_a_training_moves_between_split_and_whole_networks(
    tmp_path: Path, small_data_set: Path, optimizer: str
) -> None:
    stayed = config(small_data_set, tmp_path / "stayed", workers=1, epochs=4, split=False, optimizer=optimizer)
    train(stayed, tmp_path)
    moved = tmp_path / "moved"
    for epochs, workers, split in ((1, 1, False), (2, 3, True), (3, 2, False), (4, 4, True)):
        there = config(small_data_set, moved, workers=workers, epochs=epochs, split=split, optimizer=optimizer)
        train(there, tmp_path)
    expected, found = (saved(folder, 4) for folder in (tmp_path / "stayed", moved))
    assert tensors(found).keys() == tensors(expected).keys()
    for name, value in tensors(expected).items():
        torch.testing.assert_close(tensors(found)[name], value, rtol=1e-4, atol=1e-5, msg=name)
    torch.testing.assert_close(found.val_record, expected.val_record, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("optimizer", "accumulate", "broken"),
    [("sgd", 1, 3), ("sgd", 2, 3), ("sgd", 2, 2), *((name, 1, 3) for name in OPTIMIZERS if name != "sgd")],
)
def test_workers_stop_together_and_continue_to_the_same_bits(
    tmp_path: Path, small_data_set: Path, optimizer: str, accumulate: int, broken: int
) -> None:
    """One of them cannot read a batch: none is left waiting in the middle of a pass."""

    def settings(name: str) -> Config:
        small = config(small_data_set, tmp_path / name, workers=2, epochs=2, optimizer=optimizer)
        small = replace(small, optimizer=replace(small.optimizer, accumulate=accumulate))
        return replace(small, batch_size=2, model=replace(small.model, name="tiny"))

    train(settings("whole"), tmp_path)
    first, second = train(settings("parted"), tmp_path, broken={1: broken})
    assert second.failure
    assert not first.failure
    train(settings("parted"), tmp_path)
    expected, found = saved(tmp_path / "whole", 2), saved(tmp_path / "parted", 2)
    assert tensors(found).keys() == tensors(expected).keys()
    assert all(torch.equal(tensors(found)[name], value) for name, value in tensors(expected).items())
    assert torch.equal(found.val_record, expected.val_record)


def tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return parameters, momentum, slots and what else is kept, by what and of which parameter they are."""
    kinds = {"": checkpoint.parameters, "momentum of ": checkpoint.momentum}
    kinds |= {f"{name} of ": slot for name, slot in checkpoint.slots.items()}
    found = {f"{kind}{name}": value for kind, values in kinds.items() for name, value in values.items()}
    other = checkpoint.other_state.items()
    return found | {f"{kind} of {name}": value for name, values in other for kind, value in values.items()}


def test_weights_of_others_reach_every_share(tmp_path: Path, small_data_set: Path) -> None:
    given = tmp_path / "given"
    train(config(small_data_set, given, workers=1, epochs=1, split=False), tmp_path)
    run = Run(config(small_data_set, tmp_path / "run", workers=3, epochs=1))
    model = replace(run.config.model, weights=str(given), freeze=("features",))
    run.config = replace(run.config, model=model, optimizer=OptimizerConfig(learning_rate=1e-6))

    def worker(peer: Peer, rank: int) -> object:
        return run.train(exchange=peer, rank=rank)

    run_replicas(3, worker, tmp_path)
    before, after = saved(given, 1).parameters, saved(tmp_path / "run", 1).parameters
    for name, value in before.items():
        assert torch.equal(after[name], value) == name.startswith("features"), name
        torch.testing.assert_close(after[name], value, rtol=0, atol=1e-4, msg=name)  # it began with the given weights
