"""When the loss is not finite, training stops, or goes back to the last checkpoint and continues in another order."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.checkpoints.checkpoint import load
from lib.config.schema import Config, DataConfig, LoggingConfig, ModelConfig, RunConfig
from lib.errors import DivergedError
from lib.recording.recorder import NullRecorder
from lib.rng import Stream, rollback_seed, torch_seed
from lib.training.plain_step import PlainStep
from tests.support.in_process import Run

REAL_GRADIENTS = PlainStep.gradients
Poison = Callable[[set[int]], None]


def config(data_set: Path, weights_dir: Path, **run: Any) -> Config:
    return Config(
        run=RunConfig(weights_dir=weights_dir, n_epochs=3, **run),
        data=DataConfig(dir=data_set),
        model=ModelConfig(name="tiny"),
        logging=LoggingConfig(print_freq=2, report=False, tensorboard=False, quiet=True),
        devices=("cpu",),
        batch_size=8,
    )


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Poison:
    """Return a function that makes the gradients of the second iteration of epoch 2 NaN for these seeds."""
    return lambda seeds: spoil(monkeypatch, {torch_seed(Stream.DROPOUT, seed, 1, 1, 0) for seed in seeds})


def spoil(monkeypatch: pytest.MonkeyPatch, dropout_seeds: set[int]) -> None:
    """Make the gradients of batches with these dropout seeds NaN."""

    def gradients(self: PlainStep, *arguments: Any, loss_scale: float, iteration: int, seed: int) -> None:
        scale = math.nan if seed in dropout_seeds else loss_scale
        REAL_GRADIENTS(self, *arguments, loss_scale=scale, iteration=iteration, seed=seed)

    monkeypatch.setattr(PlainStep, "gradients", gradients)


def test_on_nan_stop_ends_the_run_and_names_the_last_good_checkpoint(
    tmp_path: Path, small_data_set: Path, poison: Poison
) -> None:
    poison({1})
    with pytest.raises(
        DivergedError,
        match=r"^the loss became NaN or infinite at iteration 3 of epoch 2; "
        rf"the last good checkpoint is {tmp_path}/run/"
        r"checkpoints/epoch001_iter00000.pt; lower optimizer.learning_rate and start again$",
    ):
        Run(config(small_data_set, tmp_path / "run")).train()


def test_on_nan_rollback_returns_to_the_checkpoint_and_draws_another_order(
    tmp_path: Path, small_data_set: Path, poison: Poison
) -> None:
    poison({1})
    settings = config(small_data_set, tmp_path / "run", on_nan="rollback")
    _, progress, weights = Run(settings).train()
    assert (progress.epoch, progress.rollbacks) == (3, 1)
    assert all(value.isfinite().all() for value in weights.values())
    assert len(progress.val_record) == 3
    latest = tmp_path / "run/checkpoints/epoch003_iter00000.pt"
    assert load(latest).rollbacks == 1
    entries = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [(e["kind"], e["epoch"]) for e in entries[-6:]] == [
        *(("train", 2), ("train", 2), ("val", 2)),
        *(("train", 3), ("train", 3), ("val", 3)),
    ]
    poison(set())
    _, straight, other = Run(config(small_data_set, tmp_path / "straight")).train()
    assert straight.val_record[0] == progress.val_record[0]
    assert any(not torch.equal(value, weights[name]) for name, value in other.items())


@pytest.mark.parametrize(
    ("broken", "options"),
    [
        *((broken, {}) for broken in (5, 6, 7, 9, 10, 12, 14)),
        *((broken, {"snapshot_minutes": 1e-9, "keep": 1}) for broken in (6, 10)),
        *((broken, {"snapshot_freq": 2}) for broken in (4, 6, 12)),
    ],
    ids=str,
)
def test_a_stop_before_or_after_a_rollback_changes_no_bit(
    tmp_path: Path, small_data_set: Path, poison: Poison, broken: int, options: dict[str, Any]
) -> None:
    """An unreadable batch stops the run; checkpoints of the clock come between those that a rollback goes back to."""
    poison({1})
    freq = {key: value for key, value in options.items() if key == "snapshot_freq"}
    _, done, weights = Run(config(small_data_set, tmp_path / "run", on_nan="rollback", **freq)).train()
    stopped = Run(config(small_data_set, tmp_path / "stopped", on_nan="rollback", **options))
    assert stopped.train(broken)[0].failure
    _, again, resumed = stopped.train()
    assert again == done
    assert all(torch.equal(value, weights[name]) for name, value in resumed.items())


def test_a_run_stopped_with_nan_weights_says_so_and_resumes_from_before_them(
    tmp_path: Path, small_data_set: Path, poison: Poison, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights are NaN after the second iteration, but no loss has shown it yet."""
    warnings: list[str] = []
    monkeypatch.setattr(NullRecorder, "warning", lambda _, text: warnings.append(text))
    poison({1})
    run = Run(config(small_data_set, tmp_path / "run", on_nan="rollback"))
    assert run.train(7)[0].failure
    assert (tmp_path / "run/checkpoints/latest").read_text() == "epoch001_iter00000.pt"
    assert warnings == [
        "the weights are NaN or infinite after iteration 2 of epoch 2, so this is not saved; start again: the run "
        "continues from before that"
    ]
    _, progress, _ = run.train()
    assert (progress.epoch, progress.rollbacks) == (3, 1)


def test_a_run_ends_after_the_allowed_number_of_rollbacks(tmp_path: Path, small_data_set: Path, poison: Poison) -> None:
    settings = config(small_data_set, tmp_path / "run", on_nan="rollback", rollbacks=2)
    poison({rollback_seed(settings.run.seed, rollbacks) for rollbacks in range(5)})
    with pytest.raises(DivergedError, match=r"at iteration 3 of epoch 2; the last good checkpoint is .*epoch001"):
        Run(settings).train()
    assert load(tmp_path / "run/checkpoints/epoch001_iter00000.pt").rollbacks == 2


def test_a_rollback_in_the_first_epoch_returns_to_the_start(
    tmp_path: Path, small_data_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, {torch_seed(Stream.DROPOUT, 1, 0, iteration, 0) for iteration in range(3)})
    _, progress, _ = Run(config(small_data_set, tmp_path / "run", on_nan="rollback")).train()
    assert (progress.epoch, progress.rollbacks) == (3, 1)
