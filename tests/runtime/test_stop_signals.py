"""Which signals stop a run, and when a further one stops it at once."""

import signal
import time
from collections.abc import Iterator, Sequence

import pytest

from lib.runtime.stop_signals import StopSignals
from lib.system.signals import SUPERVISOR_ONLY, ignore_group_signals

INT, TERM, HUP, USR1 = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1


@pytest.fixture
def restored() -> Iterator[None]:
    """Restore the handlers of this process after the test."""
    before = {number: signal.getsignal(number) for number in (*SUPERVISOR_ONLY, TERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("received", "at_once"),
    [
        ([(INT, 0)], False),
        ([(INT, 0), (INT, 1)], True),
        ([(TERM, 0), (INT, 1)], True),
        ([(INT, 0), (INT, 0.01), (TERM, 0.2)], False),  # a launcher and its group
        ([(INT, 0), (INT, 0.1), (INT, 0.9)], True),
        ([(HUP, 0), (HUP, 0.001), (HUP, 5)], False),  # a terminal that closes, and its shell
        ([(USR1, 0), (TERM, 30)], False),  # a batch system warns, then asks
        ([(USR1, 0), (TERM, 30), (TERM, 31)], True),
        ([(INT, 0), (HUP, 3)], False),
    ],
    ids=str,
)
def test_only_a_second_request_of_a_person_stops_at_once(
    monkeypatch: pytest.MonkeyPatch, received: Sequence[tuple[signal.Signals, float]], at_once: bool
) -> None:
    signals, now = StopSignals(), time.monotonic()
    for number, at in received:
        monkeypatch.setattr("time.monotonic", lambda at=at: now + at)
        signals.receive(number)
    assert (signals.first, signals.at_once) == (received[0][0], at_once)


@pytest.mark.parametrize("number", [INT, TERM, HUP, USR1, signal.SIGUSR2, signal.SIGXCPU])
def test_each_signal_that_asks_a_run_to_stop_is_received(restored: None, number: signal.Signals) -> None:
    with StopSignals() as signals:
        signal.raise_signal(number)
    assert signals.first == number


def test_signals_that_are_ignored_stay_ignored(restored: None) -> None:
    """As nohup and the background of a shell script leave them."""
    signal.signal(HUP, signal.SIG_IGN)
    signal.signal(INT, signal.SIG_IGN)
    with StopSignals() as signals:
        signal.raise_signal(HUP)
        signal.raise_signal(INT)
        signal.raise_signal(TERM)
    assert signals.first == TERM


def test_a_role_ignores_what_a_group_receives_even_if_a_library_unblocks_it(restored: None) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SUPERVISOR_ONLY)
    try:
        for number in SUPERVISOR_ONLY:
            signal.raise_signal(number)  # while the process starts
        ignore_group_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SUPERVISOR_ONLY)  # as multiprocessing's resource tracker does
        for number in SUPERVISOR_ONLY:
            signal.raise_signal(number)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
