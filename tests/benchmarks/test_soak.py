"""Tests of the soak's judgment; ``make soak`` runs the soak itself."""

import os
from pathlib import Path

import pytest

from benchmarks.soak import compare_speed, judge, windows
from benchmarks.watched import Sample, roles, sample


@pytest.mark.parametrize("leaks", Sample._fields[1:])
def test_a_leak_is_found(leaks: str) -> None:
    """The second half of an hour has ten megabytes, or one descriptor or thread, more than the first."""
    amount = 10e6 if leaks.endswith("bytes") else 1
    plain = Sample(0, 100_000_000, 100_000_000, 20, 5)
    samples = [plain._replace(seconds=s, **{leaks: getattr(plain, leaks) + amount * (s > 1800)}) for s in range(3600)]
    assert [row.what for row in judge({"loader 0": samples}, 3600) if not row.flat] == [leaks]


def test_the_speed_may_change_by_five_percent() -> None:
    def at(last: float) -> bool:
        return compare_speed([(s, 1000.0 if s < 1800 else last) for s in range(3600)], 3600).flat

    assert [at(last) for last in (900, 951, 1000, 1049, 1100)] == [False, True, True, True, False]


def test_the_sampled_processes_are_those_of_the_run() -> None:
    """The process of the test replaces a run whose roles have not started yet."""
    assert roles(os.getpid()).keys() == {"supervisor"}
    before = sample(os.getpid(), 1.5)
    with Path("/proc/self/status").open():
        assert sample(os.getpid(), 1.5).descriptors == before.descriptors + 1
    assert before.seconds == 1.5
    assert before.own_bytes > 1 << 20
    assert before.threads >= 1


def test_a_run_that_is_too_short_to_compare_is_an_error() -> None:
    with pytest.raises(SystemExit, match="too short"):
        windows([(0.0, 1.0)], 60)
