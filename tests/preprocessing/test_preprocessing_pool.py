import os
import signal
from dataclasses import dataclass

import numpy as np
import pytest

from lib.errors import DataError, UserError
from preprocessing.pool import WorkerPool
from preprocessing.shared import SharedBuffer


@dataclass(frozen=True)
class Fill:
    """Put ``value`` into place ``row``; hand back something too large for a pipe's buffer."""

    row: int
    value: int

    def run(self, buffers: SharedBuffer) -> np.ndarray:
        buffers.images(40, 10)[self.row] = self.value
        return np.full(300_000, self.value)


@dataclass(frozen=True)
class Pid:
    def run(self, buffers: SharedBuffer) -> int:
        return os.getpid()


@dataclass(frozen=True)
class Fail:
    error: Exception

    def run(self, buffers: SharedBuffer) -> None:
        raise self.error


@dataclass(frozen=True)
class Die:
    def run(self, buffers: SharedBuffer) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def __str__(self) -> str:
        return "the last task"


def test_tasks_are_done_in_shared_memory_and_results_belong_to_their_tickets() -> None:
    buffer = SharedBuffer(400)
    with WorkerPool(3, buffer) as pool:
        tickets = [pool.submit(Fill(row, row + 1), urgent=row % 3 == 0) for row in range(40)]
        for row, future in enumerate(tickets):
            assert (pool.result(future) == row + 1).all()
    assert (buffer.images(40, 10) == np.arange(1, 41)[:, None]).all()
    buffer.close()


def test_a_spare_process_takes_urgent_tasks_only() -> None:
    with WorkerPool(1, SharedBuffer(1), spare=1) as pool:
        ordinary = [pool.submit(Pid()) for _ in range(6)]
        urgent = [pool.submit(Pid(), urgent=True) for _ in range(2)]
        (worker,) = {pool.result(future) for future in ordinary}
        (spare,) = {pool.result(future) for future in urgent}
        assert worker != spare


def test_ctrl_c_does_not_reach_the_workers() -> None:
    with WorkerPool(1, SharedBuffer(1)) as pool:
        pid = pool.result(pool.submit(Pid()))
        os.kill(pid, signal.SIGINT)
        assert pool.result(pool.submit(Pid())) == pid


def test_errors_come_back_and_a_dead_worker_is_named() -> None:
    with pytest.raises(DataError, match="no good"), WorkerPool(1, SharedBuffer(1)) as pool:
        pool.result(pool.submit(Fail(DataError("no good"))))
    by_zero = Fail(ZeroDivisionError("by zero"))
    said = r"(?s)in a worker process:.*ZeroDivisionError: by zero"
    with pytest.raises(RuntimeError, match=said), WorkerPool(1, SharedBuffer(1)) as pool:
        pool.result(pool.submit(by_zero))
    said = "was ended by SIGKILL during the last task"
    with pytest.raises(UserError, match=said), WorkerPool(2, SharedBuffer(1)) as pool:
        pool.result(pool.submit(Die()))
