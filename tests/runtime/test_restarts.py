"""What a command that torchrun or SLURM restarts resumes from."""

import os
import sys
import time
from pathlib import Path

import pytest

from lib.config.schema import RunConfig
from lib.runtime import restarts
from lib.runtime.restarts import mark_start, resume_after_restart

FIRST = {"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_RESTART_COUNT": "0"}
AGAIN = FIRST | {"TORCHELASTIC_RESTART_COUNT": "1"}
JOB = {"SLURM_JOB_ID": "7"}
REQUEUED = JOB | {"SLURM_RESTART_COUNT": "1"}


@pytest.fixture(params=["never", "old/epoch001_iter00000.pt"])
def run(tmp_path: Path, request: pytest.FixtureRequest) -> RunConfig:
    return RunConfig(weights_dir=tmp_path, resume=request.param)


@pytest.fixture(autouse=True)
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--run.resume", "never"])


@pytest.fixture
def saved(run: RunConfig) -> None:
    """Write the mark of a start, and a checkpoint a second later."""
    mark_start(run, FIRST)
    save(run, 1)


def save(run: RunConfig, later_s: int) -> None:
    folder = run.weights_dir
    latest = folder / "checkpoints/latest"
    latest.parent.mkdir(exist_ok=True)
    latest.write_text("epoch002_iter00000.pt")
    marked = time.time() - 100
    os.utime(folder / ".started", (marked, marked))
    os.utime(latest, (marked + later_s, marked + later_s))


@pytest.mark.usefixtures("saved")
def test_a_restart_continues_from_its_own_checkpoint(run: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    resumed = resume_after_restart(run, AGAIN)
    assert resumed.resume == "auto"
    mark_start(resumed, AGAIN)
    assert resume_after_restart(run, AGAIN) == resumed, "again, with nothing saved in between"
    assert resume_after_restart(run, FIRST) == resumed, "a worker of another machine was lost"
    monkeypatch.setattr(restarts, "_parent", lambda: "another machine")
    assert resume_after_restart(run, AGAIN) == resumed
    assert resume_after_restart(run, FIRST) == run, "the same command, launched again"


@pytest.mark.usefixtures("saved")
def test_a_restart_ignores_the_checkpoint_of_another_launch(run: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resume_after_restart(run, {}) == run
    assert resume_after_restart(run, AGAIN | {"TORCHELASTIC_RUN_ID": "other"}) == run
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", "--run.resume", "never", "--run.seed", "2"])
        assert resume_after_restart(run, AGAIN) == run
    save(run, -1)
    assert resume_after_restart(run, AGAIN) == run, "of a run before this one"


def test_without_a_checkpoint_or_a_mark_a_restart_follows_run_resume(run: RunConfig) -> None:
    mark_start(run, {})
    assert not (run.weights_dir / ".started").exists()
    assert resume_after_restart(run, AGAIN) == run
    mark_start(run, FIRST)
    assert resume_after_restart(run, AGAIN) == run
    save(run, 1)
    (run.weights_dir / ".started").write_text("damaged")
    assert resume_after_restart(run, AGAIN) == run


@pytest.mark.parametrize("launcher", [{}, FIRST], ids=["alone", "torchrun"])
def test_a_requeued_job_continues_from_its_own_checkpoint(
    run: RunConfig, launcher: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_start(run, JOB | launcher)
    assert resume_after_restart(run, REQUEUED | launcher) == run, "nothing is saved"
    save(run, 1)
    assert resume_after_restart(run, JOB) == run, "the same command, started twice by one job"
    monkeypatch.setattr(restarts, "_parent", lambda: "another machine")
    # torchrun --standalone has another id in each start.
    resumed = resume_after_restart(run, REQUEUED | launcher | ({"TORCHELASTIC_RUN_ID": "x"} if launcher else {}))
    assert resumed.resume == "auto"
    assert resume_after_restart(run, REQUEUED | launcher | {"SLURM_JOB_ID": "8"}) == run, "another job"
    monkeypatch.setattr(sys, "argv", ["train.py", "--run.resume", "never", "--run.seed", "2"])
    assert resume_after_restart(run, REQUEUED | launcher) == run, "another command"
