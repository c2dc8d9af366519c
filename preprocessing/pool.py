"""Processes that do tasks. They end with this process, however it ends, because then their pipe does."""

import multiprocessing
import signal
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from lib.errors import UserError

AHEAD = 2  # tasks given to a worker at a time: while one is done, the next waits in its pipe

D = TypeVar("D")
D_contra = TypeVar("D_contra", contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Task(Protocol[D_contra, R_co]):
    """Something to be done in a worker, at its desk."""

    def run(self, buffers: D_contra) -> R_co: ...


class Future(Generic[R]):
    """Stands for the result of a task that was handed in."""

    def __init__(self) -> None:
        self.results: list[R] = []

    @property
    def done(self) -> bool:
        return bool(self.results)


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    spare: bool
    given: deque[tuple[Future[Any], Any]] = field(default_factory=deque)


class WorkerPool(Generic[D]):
    """``count`` spawned processes, each with its copy of ``buffers``. Use it in a ``with``.

    ``spare`` more processes do nothing but urgent tasks: those that wait for a disk, while the others compute.
    """

    def __init__(self, count: int, buffers: D, *, spare: int = 0) -> None:
        self._urgent: deque[tuple[Future[Any], Any]] = deque()
        self._waiting: deque[tuple[Future[Any], Any]] = deque()
        self._workers: list[_Worker] = []
        context = multiprocessing.get_context("spawn")
        # Ctrl-C goes to every process of the terminal; workers are told by their pipe instead, so they are
        # born with it blocked. (Python's own helper process would unblock it here, so that one comes first.)
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            for number in range(count + spare):
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(theirs, buffers), daemon=True)
                process.start()
                theirs.close()
                self._workers.insert(0, _Worker(process, ours, number >= count))  # the spare ones first
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])

    def submit(self, task: Task[D, R], *, urgent: bool = False) -> Future[R]:
        """Hand in a task; an urgent one goes before all that have not been begun."""
        future: Future[R] = Future()
        (self._urgent if urgent else self._waiting).append((future, task))
        self._pump(timeout=0)
        return future

    def result(self, future: Future[R]) -> R:
        """Wait for the result. Raises what the task raised, and UserError when a worker was ended."""
        while not future.done:
            self._pump(timeout=None)
        return future.results[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            if kind is not None:
                worker.process.terminate()
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join()

    def _pump(self, timeout: float | None) -> None:
        """Give out tasks and take in results; without ``timeout`` wait for one at least."""
        self._give()
        ready: Sequence[Any] = connection.wait([worker.pipe for worker in self._workers], timeout)
        for worker in self._workers:
            if worker.pipe in ready:
                self._take(worker)
        self._give()

    def _give(self) -> None:
        for depth in range(AHEAD):
            for worker in self._workers:
                tasks = self._urgent if worker.spare else self._urgent or self._waiting
                if tasks and len(worker.given) == depth:
                    future, task = tasks.popleft()
                    worker.given.append((future, task))
                    try:
                        worker.pipe.send(task)
                    except OSError:
                        raise _lost(worker) from None

    def _take(self, worker: _Worker) -> None:
        try:
            result = worker.pipe.recv()
        except (EOFError, OSError):
            raise _lost(worker) from None
        if isinstance(result, BaseException):
            raise result
        future, _ = worker.given.popleft()
        future.results.append(result)


def _lost(worker: _Worker) -> UserError:
    worker.process.join(timeout=5)
    code = worker.process.exitcode
    how = f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended ({code})"
    at = f" during {worker.given[0][1]}" if worker.given else ""
    return UserError(f"a worker process {how}{at}; is memory short? Try fewer --workers; it goes on where it stopped")


def _work(pipe: Connection, buffers: Any) -> None:
    """What a worker does: one task after the other, until the pipe ends."""
    try:
        while True:
            task = pipe.recv()
            try:
                result = task.run(buffers)
            except UserError as error:
                result = error
            except Exception:
                result = RuntimeError(f"in a worker process:\n{traceback.format_exc()}")
            pipe.send(result)
    except (EOFError, OSError):
        return  # the main process has closed its end, or is gone
