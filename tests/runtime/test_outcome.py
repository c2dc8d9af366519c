"""What a run says about its end: which process failed first, and which checkpoint is saved."""

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from lib.ipc.messages import Failed, Stopped
from lib.runtime.outcome import Child, Outcome, explain_end, explain_failure, find_unresponsive, first_failure


def child(name: str, status: int | None = None, **fields: Any) -> Child:
    """Return a process that ended with ``status``, or still runs if that is None."""
    process: Any = SimpleNamespace(poll=lambda: status, pid=os.getpid())
    return Child(name, process, **fields)


def failed(name: str, *, consequence: bool = False) -> Child:
    return child(name, 1, failed=Failed(name, "broken", "Traceback\n", consequence))


def test_a_failure_comes_before_a_killed_process_and_both_before_their_consequences() -> None:
    running, silent, killed = child("loader 0"), child("loader 1", 1), child("trainer 0", -signal.SIGKILL)
    followed, first = failed("trainer 1", consequence=True), failed("trainer 2")
    assert first_failure([running, silent, followed, killed, first]) is first
    assert first_failure([running, silent, followed, killed]) is killed
    assert first_failure([running, silent, followed]) is followed
    assert first_failure([running, silent]) is silent


def test_an_error_without_a_traceback_is_shown_as_it_is() -> None:
    refused = child("trainer 0", 2, failed=Failed("trainer 0", "data.dir x is missing", "", False))
    assert explain_failure(refused, "Go on.") == Outcome(2, "data.dir x is missing")
    message = "trainer 0 failed while starting: broken. Go on."
    assert explain_failure(failed("trainer 0"), "Go on.") == Outcome(1, message, "Traceback\n")


@pytest.mark.parametrize(("patience_s", "grace_s"), [(10, 30), (600, 600)])
def test_after_the_end_of_one_process_the_others_may_finish_what_they_do(patience_s: float, grace_s: float) -> None:
    children = [child("loader 0", 0), child("validator 0", patience_s=patience_s, doing="computing metrics")]
    for now, ended in ((100.0, False), (100.0 + grace_s, False), (100.1 + grace_s, True)):
        children[1].heard_at = now
        outcome = find_unresponsive(children, now, "")
        assert bool(outcome) == ended
    assert outcome
    assert f"validator 0 was still running {grace_s} s after another" in outcome.message


@pytest.mark.parametrize(("number", "name"), [(signal.SIGSEGV, "SIGSEGV"), (40, "signal 40")])
def test_any_signal_that_kills_a_process_is_named(number: int, name: str) -> None:
    message = f"loader 0 was killed by {name} while starting. Go on."
    assert explain_failure(child("loader 0", -number), "Go on.") == Outcome(1, message)


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ([], "complete before SIGINT could stop it; nothing is left to do"),
        (["", "m/epoch002_iter00120.pt"], "stopped after saving m/epoch002_iter00120.pt. Go on."),
        ([""], "stopped, with a checkpoint. Go on."),
    ],
    ids=str,
)
def test_stopping_a_run_names_the_saved_checkpoint(saved: list[str], message: str) -> None:
    names = [f"trainer {rank}" for rank in range(len(saved))]
    trainers = [
        child(name, 0, stopped=Stopped(name, signal.SIGTERM, path)) for name, path in zip(names, saved, strict=True)
    ]
    assert explain_end(trainers, signal.SIGINT, "Go on.") == Outcome(130, message)
