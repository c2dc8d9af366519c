"""The process that writes the report beside a training: one at a time, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib.recording.refresher import Refresher
from tests.support.scripts import ROOT


def children() -> set[int]:
    found = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return set(map(int, found))


def run_folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text("run: {n_epochs: 1}\nmodel: {name: tiny}\nlogging: {tensorboard: false}\n")
    return tmp_path


def test_one_report_is_written_at_a_time_and_none_after_close(tmp_path: Path) -> None:
    refresher = Refresher(run_folder(tmp_path))
    before = children()
    refresher.refresh()
    started = children() - before
    refresher.refresh()
    assert len(started) == 1
    assert children() - before == started
    refresher.close()
    assert children() == before
    refresher.close()


@pytest.mark.parametrize("command", ["true", "false"])
def test_finish_returns_whether_the_report_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Replaces the report's process, which tests of whole runs cover."""
    monkeypatch.setattr(Refresher, "_start", lambda *_: subprocess.Popen([command]))
    assert Refresher(tmp_path).finish() == (command == "true")


def test_only_reports_beside_a_training_have_the_lowest_priority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def start(command: list[str], **_: object) -> subprocess.Popen[bytes]:
        commands.append(command)
        return real(["true"])

    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    refresher = Refresher(tmp_path)
    refresher.refresh()
    refresher.finish()
    assert ["--nice=19" in command for command in commands] == [True, False]
    assert all(f"--background={os.getpid()}" in command for command in commands)


def test_the_report_process_ends_when_the_trainer_is_killed(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from lib.recording.refresher import Refresher;"
        "r = Refresher(pathlib.Path(sys.argv[1])); r.refresh(); print(r._process.pid, flush=True); time.sleep(60)"
    )
    run_folder(tmp_path)
    trainer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert trainer.stdout
    pid = int(trainer.stdout.readline())
    os.kill(pid, signal.SIGSTOP)  # so that it cannot finish before the test looks
    trainer.kill()
    trainer.wait()
    trainer.stdout.close()
    os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not (tmp_path / "report.html").exists()


def test_after_a_report_there_is_a_pause_of_nine_times_its_duration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[float] = []

    def start(self: Refresher, nice: int) -> subprocess.Popen[bytes]:
        started.append(time.monotonic())
        return subprocess.Popen(["sleep", "0.1"])

    monkeypatch.setattr(Refresher, "_start", start)
    refresher = Refresher(tmp_path)
    while len(started) < 2:
        refresher.refresh()
        time.sleep(0.01)
    refresher.close()
    assert started[1] - started[0] > 0.9
