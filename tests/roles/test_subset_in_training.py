"""A training that evaluates a subset within its epochs, is stopped anywhere and resumed, has uninterrupted metrics."""

import json
from pathlib import Path
from typing import Any

import pytest

from lib.config.schema import Config, DataConfig, LoggingConfig, ModelConfig, RunConfig
from lib.data.feed import Feed
from lib.roles.builders import build_recorder
from lib.roles.train_state import TrainState
from lib.roles.trainer import Trainer
from lib.runtime.process import Context
from tests.support import in_process
from tests.support.in_process import Run


class Recorded(Trainer):
    """A trainer that writes the real records to disk."""

    def __init__(self, context: Context, parts: TrainState, feed: Feed, _: object) -> None:
        super().__init__(
            context, parts, feed, build_recorder(context, parts.plan, parts.progress, parts.replica.device)
        )

    def train(self) -> None:
        super().train()
        self.recorder.close()


def figures(weights_dir: Path) -> list[tuple[Any, ...]]:
    """Return every recorded metric of a training except times."""
    entries = map(json.loads, (weights_dir / "metrics.jsonl").read_text().splitlines())
    return [(e["kind"], e["epoch"], e["iteration"], e["images"], e["loss"], e["top1_error"]) for e in entries]


@pytest.mark.parametrize(
    "model", [ModelConfig(name="tiny"), ModelConfig(name="resnet20_cifar", precise_bn=6)], ids=["plain", "precise_bn"]
)
def test_a_run_with_a_subset_stopped_anywhere_and_resumed_equals_uninterrupted(
    model: ModelConfig, tmp_path: Path, small_data_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_process, "Trainer", Recorded)

    def run(name: str) -> Run:
        (tmp_path / name).mkdir()
        return Run(
            Config(
                run=RunConfig(weights_dir=tmp_path / name, n_epochs=2),
                data=DataConfig(dir=small_data_set),
                model=model,
                logging=LoggingConfig(
                    print_freq=1, val_freq=2, val_images=7, report=False, tensorboard=False, quiet=True
                ),
                devices=("cpu",),
                batch_size=6,
            )
        )

    feed, _, _ = run("whole").train()
    whole = figures(tmp_path / "whole")
    of_subset = [(epoch, iteration, images) for kind, epoch, iteration, images, *_ in whole if kind == "val_subset"]
    assert of_subset == [(1, 2, 7), (2, 2, 7)]
    for broken in range(1, feed.asked_for, 2 if model.precise_bn else 1):
        stopped = run(f"{broken}")
        assert stopped.train(broken)[0].failure
        assert len(figures(tmp_path / f"{broken}")) < len(whole)
        stopped.train()
        assert figures(tmp_path / f"{broken}") == whole, broken
