"""A meeting of devices, one of them interpreted: the words of the others are written by hand, and its clock is ours."""

import itertools

import pytest
import torch
import triton.language as tl
from torch import Tensor

from lib.kernels import meeting
from lib.kernels.meeting import BOARD_SIZE, MAX_DEVICES, Status, meet

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled here; tests/gpu has the runs")
WORKERS, OWN, OTHERS = 3, 1, (0, 2)
TICK_NS = 100


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes on by a tick whenever it is looked at."""
    ticks = itertools.count(5000, TICK_NS)
    monkeypatch.setattr(meeting, "globaltimer", lambda: tl.full((), next(ticks), tl.int64))


def place(number: int, rank: int) -> int:
    """Where on a board the word of ``rank`` for its meeting ``number`` lies."""
    return (number % 2 * WORKERS + rank) * (BOARD_SIZE // (2 * MAX_DEVICES))


def word(number: int, stopping: bool = False) -> int:
    return 2 * number + stopping


def boards() -> list[Tensor]:
    return [torch.zeros(BOARD_SIZE, dtype=torch.int64) for _ in range(WORKERS)]


def test_who_has_come_is_not_waited_for() -> None:
    there, status = boards(), Status(torch.device("cpu"))
    for number in (1, 2, 3):
        there[OWN][place(number, 0)] = word(number)
        there[OWN][place(number, 2)] = word(number, stopping=number == 2)
        there[OWN][place(number + 1, 0)] = word(number + 1)  # one may be a meeting ahead
        status.stop_requested.fill_(number == 3)
        meet(there, OWN, status, patience_ns=1)
        assert status.outcome[:2].tolist() == [number >= 2, 0]
        assert all(there[rank][place(number, OWN)] == word(number, stopping=number == 3) for rank in OTHERS)


@pytest.mark.parametrize("lost", [(0,), (2,), (0, 2)])
def test_who_does_not_come_is_named_and_all_together_waited_for_as_long_as_said(lost: tuple[int, ...]) -> None:
    there, status = boards(), Status(torch.device("cpu"))
    for rank in OTHERS:
        there[OWN][place(3, rank)] = word(1 if rank in lost else 3)  # what stands there still is of two meetings ago
    status.state[0] = 2
    meet(there, OWN, status, patience_ns=20 * TICK_NS)
    _, said, waited_ns = status.outcome.tolist()
    assert said == 1 + lost[-1]
    assert 20 * TICK_NS <= waited_ns <= 22 * TICK_NS
    meet(there, OWN, status, patience_ns=20 * TICK_NS)  # from then on nobody is waited for
    assert status.outcome[2] <= waited_ns + 2 * TICK_NS
