"""Checkpoints are written while the training continues."""

import gc
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch

from lib.checkpoints.checkpoint import Checkpoint, load
from lib.checkpoints.folder import CheckpointFolder
from lib.config.schema import Config, DataConfig, LoggingConfig, ModelConfig, RunConfig
from lib.errors import CheckpointError
from lib.roles.trainer import Trainer
from lib.training import replica_state
from tests.support.in_process import Run

Before = Callable[[Checkpoint], None]


def run(data_set: Path, weights_dir: Path) -> Run:
    """Return a run of three epochs with three updates each."""
    return Run(
        Config(
            run=RunConfig(weights_dir=weights_dir, n_epochs=3, keep=9),
            data=DataConfig(dir=data_set),
            model=ModelConfig(name="tiny"),
            logging=LoggingConfig(report=False, tensorboard=False, quiet=True),
            devices=("cpu",),
            batch_size=8,
        )
    )


@pytest.fixture
def before_saving(monkeypatch: pytest.MonkeyPatch) -> Callable[[Before], None]:
    """Return a function that sets what is called with each checkpoint before it is written."""
    real = CheckpointFolder.save

    def patch(before: Before) -> None:
        def save(self: CheckpointFolder, checkpoint: Checkpoint, *more: Any, **options: Any) -> Path:
            before(checkpoint)
            return real(self, checkpoint, *more, **options)

        monkeypatch.setattr(CheckpointFolder, "save", save)

    return patch


def test_a_checkpoint_holds_the_training_as_it_was_when_saving_began(
    tmp_path: Path, small_data_set: Path, before_saving: Callable[[Before], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first checkpoint is written only when the second epoch is nearly over, and is still correct."""
    run(small_data_set, tmp_path / "fast").train()
    later, update = Event(), Trainer.train_update

    def train_update(self: Trainer) -> bool:
        if (self.progress.epoch, self.progress.iteration) == (1, 2):
            later.set()
        return update(self)

    def before(checkpoint: Checkpoint) -> None:
        assert checkpoint.epoch > 1 or later.wait(30)

    monkeypatch.setattr(Trainer, "train_update", train_update)
    before_saving(before)
    run(small_data_set, tmp_path / "slow").train()
    for epoch in (1, 2, 3):
        fast, slow = (load(tmp_path / name / f"checkpoints/epoch{epoch:03d}_iter00000.pt") for name in ("fast", "slow"))
        for of_fast, of_slow in ((fast.parameters, slow.parameters), (fast.momentum, slow.momentum)):
            assert all(torch.equal(of_fast[name], of_slow[name]) for name in of_fast)
        assert torch.equal(fast.val_record, slow.val_record)


def test_at_most_one_checkpoint_waits_in_memory(
    tmp_path: Path, small_data_set: Path, before_saving: Callable[[Before], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    copied = replica_state._copied

    def copy(tensors: Any) -> Any:
        events.append("copied")
        return copied(tensors)

    def before(checkpoint: Checkpoint) -> None:
        time.sleep(0.2)
        events.append(f"written {checkpoint.epoch}")

    monkeypatch.setattr(replica_state, "_copied", copy)
    before_saving(before)
    run(small_data_set, tmp_path / "run").train()
    both = ["copied", "copied"]  # weights and momentum
    assert events == [*both, "written 1", *both, "written 2", *both, "written 3"]


def test_a_failed_save_ends_the_training(
    tmp_path: Path, small_data_set: Path, before_saving: Callable[[Before], None]
) -> None:
    def before(checkpoint: Checkpoint) -> None:
        if checkpoint.epoch == 2:
            raise CheckpointError("the disk is full")

    before_saving(before)
    with pytest.raises(CheckpointError, match="^the disk is full$"):
        run(small_data_set, tmp_path / "run").train()
    assert CheckpointFolder(tmp_path / "run/checkpoints", keep=9).latest() == (
        tmp_path / "run/checkpoints/epoch001_iter00000.pt"
    )


def test_a_trainer_is_freed_without_the_garbage_collector(
    tmp_path: Path, small_data_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory lent through CUDA must be freed before the interpreter ends, and a reference cycle may outlive that."""
    made: list[weakref.ref[object]] = []
    init = Trainer.__init__

    def noted(self: Trainer, *arguments: Any) -> None:
        init(self, *arguments)
        made.extend(map(weakref.ref, (self, self.writer, self.replica)))

    monkeypatch.setattr(Trainer, "__init__", noted)
    gc.disable()
    try:
        run(small_data_set, tmp_path / "run").train()
        assert [ref() for ref in made] == [None, None, None]
    finally:
        gc.enable()
