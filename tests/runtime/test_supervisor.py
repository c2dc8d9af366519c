"""The supervisor's view of time; the failure matrix tests the rest in real runs."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.runtime import supervisor as module
from lib.runtime.outcome import Child, Outcome
from lib.runtime.supervisor import Supervisor
from lib.system.signals import SUPERVISOR_ONLY


class Clock:
    """The clock that the supervisor reads."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_s


class Inbox:
    """An inbox without messages. Each poll makes the next of ``events`` happen."""

    def __init__(self, events: Iterator[object]) -> None:
        self._events = events

    def poll(self, _: int) -> int:
        next(self._events, None)
        return 0


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def watch(monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes], jumps: list[float]) -> Outcome:
    """Return how a run ends whose clock jumps at each poll, and whose child is killed after the last."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    watched = Supervisor(Path(), [], patience_s=60)
    watched._children = {"loader 0": Child("loader 0", child)}

    def events() -> Iterator[object]:
        for jump in jumps:
            clock.ahead_s += jump
            yield None
        child.kill()
        child.wait()

    return watched._watch(Inbox(events()))  # type: ignore[arg-type]


def test_time_while_the_supervisor_was_stopped_does_not_count_as_silence(
    monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes]
) -> None:
    assert "was killed by SIGKILL" in watch(monkeypatch, child, [0, 300, 0, 300]).message


def test_a_silent_process_is_named(monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes]) -> None:
    outcome = watch(monkeypatch, child, [0.9] * 80)
    assert (outcome.status, outcome.message.partition(";")[0]) == (
        1,
        "loader 0 sent no heartbeat for 60 s (run.patience_s) while starting",
    )


def test_a_killed_process_that_the_kernel_does_not_release_is_named(
    monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_KILLED_S", 0.1)
    monkeypatch.setattr(child, "kill", lambda: None)
    watched = Supervisor(tmp_path, [], patience_s=60)
    watched._children = {"trainer 0": Child("trainer 0", child)}
    message = watched._kill_all()
    monkeypatch.undo()
    assert message == (
        f"Killed, but still held by the kernel, for example by an unreachable disk: trainer 0 (process {child.pid})."
    )


def test_a_trainer_inherits_the_lock_and_no_role_sees_signals_to_the_group_while_it_starts(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        watched = Supervisor(tmp_path, [("trainer", 0), ("loader", 0)], patience_s=60, lock=lock.fileno())
        watched._start()
    trainer, loader = (child.process.pid for child in watched._children.values())
    try:
        assert str(tmp_path / "lock") in open_files(trainer)
        assert str(tmp_path / "lock") not in open_files(loader)
        status = Path(f"/proc/{loader}/status").read_text()
        blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
        for number in SUPERVISOR_ONLY:
            assert blocked >> (number - 1) & 1
            assert number not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        watched._kill_all()


def open_files(pid: int) -> set[str]:
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed just now
            found.add(str(path.readlink()))
    return found
