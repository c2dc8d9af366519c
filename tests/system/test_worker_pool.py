"""The pool of processes: results, order, errors, signals and dead workers."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import msgspec
import numpy as np
import pytest

from lib.errors import DataError, UnavailableError
from lib.ipc import shared_memory
from lib.ipc.messages import TensorHandle
from lib.system.worker_pool import WorkerDied, WorkerPool
from tests.support.scripts import ROOT
from tests.support.tiny_tree import wait_for


@dataclass(frozen=True)
class Context:
    """What the workers of these tests need: shared memory."""

    handle: TensorHandle


class Fill(msgspec.Struct, frozen=True, tag=True):
    """Put ``value`` into row ``row`` of the shared memory; return more than fits into a pipe's buffer."""

    row: int
    value: int

    def run(self, context: Context) -> bytes:
        shared_memory.attach(context.handle)[self.row] = self.value
        return bytes([self.value]) * 300_000


class Pid(msgspec.Struct, frozen=True, tag=True):
    def run(self, context: Context) -> int:
        return os.getpid()


class Fail(msgspec.Struct, frozen=True, tag=True):
    """Raise an error of this kind."""

    kind: str

    def run(self, context: Context) -> None:
        if self.kind == "zero":
            raise ZeroDivisionError("by zero")
        raise (UnavailableError if self.kind == "unavailable" else DataError)("no good")


class Die(msgspec.Struct, frozen=True, tag=True):
    def run(self, context: Context) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def __str__(self) -> str:
        return "the last task"


class Threads(msgspec.Struct, frozen=True, tag=True):
    def run(self, context: Context) -> int:
        return len(list(Path("/proc/self/task").iterdir()))


Task = Fill | Pid | Fail | Die | Threads
NO_MEMORY = Context(TensorHandle("none", "", (), "uint8"))


def test_tasks_write_to_shared_memory_and_each_future_gets_its_own_result() -> None:
    memory, handle = shared_memory.create("rows", (40, 10), "uint8")
    with WorkerPool(3, Context(handle), Task) as pool:
        futures = [pool.submit(Fill(row, row + 1), bytes, urgent=row % 3 == 0) for row in range(40)]
        for row, future in enumerate(futures):
            assert pool.result(future) == bytes([row + 1]) * 300_000
            assert future.done
    assert (memory == np.arange(1, 41)[:, None]).all()


def test_a_spare_process_takes_urgent_tasks_only() -> None:
    with WorkerPool(1, NO_MEMORY, Task, spare=1) as pool:
        ordinary = [pool.submit(Pid(), int) for _ in range(6)]
        urgent = [pool.submit(Pid(), int, urgent=True) for _ in range(2)]
        (worker,) = {pool.result(future) for future in ordinary}
        (spare,) = {pool.result(future) for future in urgent}
        assert worker != spare
        assert sorted(pool.pids) == sorted([worker, spare])


@pytest.mark.parametrize("given", [None, "2"])
def test_workers_do_not_start_a_thread_for_each_core(monkeypatch: pytest.MonkeyPatch, given: str | None) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if given:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    with WorkerPool(1, NO_MEMORY, Task) as pool:  # these tests import NumPy
        assert pool.result(pool.submit(Threads(), int)) == 1
    assert os.environ.get("OPENBLAS_NUM_THREADS") == given


def test_the_number_of_processes_may_change() -> None:
    with WorkerPool(2, NO_MEMORY, Task, spare=1) as pool:

        def busy() -> set[int]:
            return {pool.result(future) for future in [pool.submit(Pid(), int) for _ in range(12)]}

        first = busy()
        pool.resize(1)
        assert len(busy()) == 1
        pool.resize(3)
        deadline = time.monotonic() + 30
        while len(busy()) < 3:  # the third process takes a moment to start
            assert time.monotonic() < deadline
        assert first < set(pool.pids)
        assert len(pool.pids) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_whole_process_group_do_not_reach_the_workers(number: signal.Signals) -> None:
    with WorkerPool(1, NO_MEMORY, Task) as pool:
        pid = pool.result(pool.submit(Pid(), int))
        os.kill(pid, number)
        assert pool.result(pool.submit(Pid(), int)) == pid


def test_the_pool_leaves_the_signals_of_its_own_process_as_they_were() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with WorkerPool(1, NO_MEMORY, Task):
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


@pytest.mark.parametrize("kind", [DataError, UnavailableError])
def test_the_errors_of_tasks_are_raised_with_their_results_and_the_pool_goes_on(kind: type[DataError]) -> None:
    with WorkerPool(1, NO_MEMORY, Task) as pool:
        failing = pool.submit(Fail("unavailable" if kind is UnavailableError else "data"), type(None))
        assert pool.result(pool.submit(Pid(), int)) == pool.pids[0]
        with pytest.raises(kind, match="no good") as error:
            pool.result(failing)
        assert type(error.value) is kind


def test_an_unexpected_error_comes_with_its_traceback() -> None:
    says = r"(?s)in a worker process:.*ZeroDivisionError: by zero"
    with pytest.raises(RuntimeError, match=says), WorkerPool(1, NO_MEMORY, Task) as pool:
        pool.result(pool.submit(Fail("zero"), type(None)))


def test_a_dead_worker_is_named_with_its_task() -> None:
    says = "a worker process was ended by SIGKILL during the last task"
    with pytest.raises(WorkerDied, match=says), WorkerPool(2, NO_MEMORY, Task) as pool:
        pool.result(pool.submit(Die(), type(None)))


def test_after_an_error_the_workers_end_at_once() -> None:
    pids: list[int] = []

    def use(pool: WorkerPool[Context]) -> None:
        pids.extend(pool.pids)
        raise KeyError

    with pytest.raises(KeyError), WorkerPool(2, NO_MEMORY, Task) as pool:
        use(pool)
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_suspended_worker_does_not_hold_up_the_end() -> None:
    with WorkerPool(1, NO_MEMORY, Task) as pool:
        worker = pool.result(pool.submit(Pid(), int))
        os.kill(worker, signal.SIGSTOP)
    assert not is_alive(worker)


def test_a_suspended_worker_ends_when_its_parent_is_killed() -> None:
    program = """
from lib.system.worker_pool import WorkerPool
from tests.system.test_worker_pool import NO_MEMORY, Pid, Task

pool = WorkerPool(1, NO_MEMORY, Task)
print(pool.result(pool.submit(Pid(), int)), flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True) as parent:
        assert parent.stdout
        worker = int(parent.stdout.readline())
        os.kill(worker, signal.SIGSTOP)
        parent.kill()
    wait_for(lambda: not is_alive(worker), 10)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
