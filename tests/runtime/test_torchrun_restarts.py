"""What a command that torchrun restarts resumes from."""

import os
import sys
import time
from pathlib import Path

import pytest

from lib.config.schema import Config, RunConfig
from lib.runtime import torchrun_restarts
from lib.runtime.torchrun_restarts import go_on_after_restart, mark_start

FIRST = {"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_RESTART_COUNT": "0"}
AGAIN = FIRST | {"TORCHELASTIC_RESTART_COUNT": "1"}


@pytest.fixture(params=["never", "old/epoch001_iter00000.pt"])
def config(tmp_path: Path, request: pytest.FixtureRequest) -> Config:
    return Config(run=RunConfig(weights_dir=tmp_path, resume=request.param))


@pytest.fixture(autouse=True)
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--run.resume", "never"])


@pytest.fixture
def saved(config: Config) -> None:
    """Write the mark of a start, and a checkpoint a second later."""
    mark_start(config, FIRST)
    save(config, 1)


def save(config: Config, later_s: int) -> None:
    folder = config.run.weights_dir
    latest = folder / "checkpoints/latest"
    latest.parent.mkdir(exist_ok=True)
    latest.write_text("epoch002_iter00000.pt")
    marked = time.time() - 100
    os.utime(folder / ".started", (marked, marked))
    os.utime(latest, (marked + later_s, marked + later_s))


@pytest.mark.usefixtures("saved")
def test_a_restart_continues_from_its_own_checkpoint(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    on = go_on_after_restart(config, AGAIN)
    assert on.run.resume == "auto"
    mark_start(on, AGAIN)
    assert go_on_after_restart(config, AGAIN) == on, "once more, with nothing saved in between"
    assert go_on_after_restart(config, FIRST) == on, "a worker of another machine was lost"
    monkeypatch.setattr(torchrun_restarts, "_parent", lambda: "another machine")
    assert go_on_after_restart(config, AGAIN) == on
    assert go_on_after_restart(config, FIRST) == config, "the same words, another day"


@pytest.mark.usefixtures("saved")
def test_a_restart_ignores_the_checkpoint_of_another_launch(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    assert go_on_after_restart(config, {}) == config
    assert go_on_after_restart(config, AGAIN | {"TORCHELASTIC_RUN_ID": "other"}) == config
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", "--run.resume", "never", "--run.seed", "2"])
        assert go_on_after_restart(config, AGAIN) == config
    save(config, -1)
    assert go_on_after_restart(config, AGAIN) == config, "of a run before this one"


def test_without_a_checkpoint_or_a_mark_a_restart_follows_run_resume(config: Config) -> None:
    mark_start(config, {})
    assert not (config.run.weights_dir / ".started").exists()
    assert go_on_after_restart(config, AGAIN) == config
    mark_start(config, FIRST)
    assert go_on_after_restart(config, AGAIN) == config
    save(config, 1)
    (config.run.weights_dir / ".started").write_text("damaged")
    assert go_on_after_restart(config, AGAIN) == config
