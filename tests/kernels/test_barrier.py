"""A barrier of three devices: one runs in Triton's interpreter with a fake clock, the test writes others' signals."""

import itertools

import pytest
import torch
import triton.language as tl
from torch import Tensor

from lib.kernels import barrier as module
from lib.kernels.barrier import MAX_DEVICES, SIGNAL_PAD_SIZE, Status, barrier

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled here; tests/gpu has the runs")
WORKERS, OWN, OTHERS = 3, 1, (0, 2)
TICK_NS = 100


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Advance the clock by one tick at each read."""
    ticks = itertools.count(5000, TICK_NS)
    monkeypatch.setattr(module, "globaltimer", lambda: tl.full((), next(ticks), tl.int64))


def index(number: int, rank: int) -> int:
    """Return the index of the signal of ``rank`` for barrier ``number`` on a signal pad."""
    return (number % 2 * WORKERS + rank) * (SIGNAL_PAD_SIZE // (2 * MAX_DEVICES))


def signal(number: int, stopping: bool = False) -> int:
    return 2 * number + stopping


def signal_pads() -> list[Tensor]:
    return [torch.zeros(SIGNAL_PAD_SIZE, dtype=torch.int64) for _ in range(WORKERS)]


def test_a_device_that_has_arrived_is_not_waited_for() -> None:
    pads, status = signal_pads(), Status(torch.device("cpu"))
    for number in (1, 2, 3):
        pads[OWN][index(number, 0)] = signal(number)
        pads[OWN][index(number, 2)] = signal(number, stopping=number == 2)
        pads[OWN][index(number + 1, 0)] = signal(number + 1)  # a device may be one barrier ahead
        status.stop_requested.fill_(number == 3)
        barrier(pads, OWN, status, timeout_ns=1)
        assert status.outcome[:2].tolist() == [number >= 2, 0]
        assert all(pads[rank][index(number, OWN)] == signal(number, stopping=number == 3) for rank in OTHERS)


@pytest.mark.parametrize("lost", [(0,), (2,), (0, 2)])
def test_a_missing_device_is_named_and_one_timeout_covers_all(lost: tuple[int, ...]) -> None:
    pads, status = signal_pads(), Status(torch.device("cpu"))
    for rank in OTHERS:
        pads[OWN][index(3, rank)] = signal(1 if rank in lost else 3)  # else the signal of two barriers ago
    status.state[0] = 2
    barrier(pads, OWN, status, timeout_ns=20 * TICK_NS)
    _, missing, waited_ns = status.outcome.tolist()
    assert missing == 1 + lost[-1]
    assert 20 * TICK_NS <= waited_ns <= 22 * TICK_NS
    barrier(pads, OWN, status, timeout_ns=20 * TICK_NS)  # later barriers do not wait
    assert status.outcome[2] <= waited_ns + 2 * TICK_NS
