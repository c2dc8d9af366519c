"""A pool of processes that run tasks.

Tasks and results travel through pipes as MessagePack, and nothing is unpickled after the start. The processes end when
their pipe does, so they never outlive the process that started them, however that one ends.
"""

import atexit
import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

import msgspec

from ..errors import DataError, UnavailableError, error_text
from .parent_death import wake_when_orphaned
from .signals import signal_name
from .terminal import prepare_streams

# Tasks given to a worker at a time: while it runs one, the next waits in its pipe.
_AHEAD = 2
# NumPy reads it when it is imported.
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"

C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)
R = TypeVar("R")


class WorkerDied(RuntimeError):
    """A process of the pool ended before the pool was closed."""


class Task(Protocol[C_contra]):
    """A msgspec.Struct that is run in a worker. Its text is used in errors, as in "during the decoding of a.jpg"."""

    def run(self, context: C_contra) -> Any:
        """Return a result that MessagePack can hold. May raise DataError."""


class Future(Generic[R]):
    """The result of a task that was submitted."""

    def __init__(self, task: Task[Any], result_type: type[R]) -> None:
        self._task, self._type = task, result_type
        self.reply: _Reply | None = None

    def __str__(self) -> str:
        return str(self._task)

    @property
    def encoded(self) -> bytes:
        """The task as MessagePack."""
        return msgspec.msgpack.encode(self._task)

    @property
    def done(self) -> bool:
        """Whether the task has ended."""
        return self.reply is not None

    def value(self, reply: "_Reply") -> R:
        """Return the result in ``reply``. Raises the error of the task."""
        match reply.error_type:
            case "":
                return msgspec.msgpack.decode(reply.result, type=self._type)
            case "unavailable":
                raise UnavailableError(reply.error)
            case "data":
                raise DataError(reply.error)
        raise RuntimeError(f"in a worker process:\n{reply.error}")


class _Reply(msgspec.Struct, frozen=True):
    """A worker's answer to one task."""

    result: bytes = b""
    error_type: Literal["", "data", "unavailable", "unexpected"] = ""
    error: str = ""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    spare: bool
    running: deque[Future[Any]] = field(default_factory=deque)


class WorkerPool(Generic[C]):
    """``count`` spawned processes, each with a copy of ``context``, to which tasks have access. A context manager."""

    def __init__(self, count: int, context: C, tasks: Any, *, spare: int = 0) -> None:
        """Start the processes.

        ``tasks`` is the type of all tasks, as msgspec takes it: a Struct, or a union of tagged ones. ``spare`` more
        processes run urgent tasks only: those that wait for a disk while the others compute.
        """
        self._urgent: deque[Future[Any]] = deque()
        self._waiting: deque[Future[Any]] = deque()
        self._workers: list[_Worker] = []
        self._arguments = context, tasks
        self._in_use = 0
        self._start(spare, spare=True)
        self.resize(count)
        # After an uncaught error, multiprocessing waits for its processes at exit: their pipes must be closed by then.
        atexit.register(self.close)

    def resize(self, count: int) -> None:
        """Give tasks to ``count`` processes from now on, besides the spare ones: start some, or leave some idle."""
        self._in_use = sum(worker.spare for worker in self._workers) + count
        self._start(self._in_use - len(self._workers), spare=False)

    def _start(self, count: int, *, spare: bool) -> None:
        spawn = multiprocessing.get_context("spawn")
        # Ctrl-C and SIGTERM may be sent to every process of a group. Workers are stopped through their pipe instead, so
        # they start with both blocked. Python's resource tracker would unblock them here if it were started later.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            with _without_blas_threads():
                for _ in range(count):
                    ours, theirs = spawn.Pipe()
                    process = spawn.Process(target=_work, args=(theirs, *self._arguments), daemon=True)
                    process.start()
                    theirs.close()
                    self._workers.append(_Worker(process, ours, spare))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def pids(self) -> list[int]:
        """The process numbers of all workers."""
        return [worker.process.pid or 0 for worker in self._workers]

    def submit(self, task: Task[C], result_type: type[R], *, urgent: bool = False) -> Future[R]:
        """Submit a task. An urgent one is started before all others that have not started."""
        future = Future(task, result_type)
        (self._urgent if urgent else self._waiting).append(future)
        self._pump(timeout=0)
        return future

    def result(self, future: Future[R]) -> R:
        """Wait for the result.

        Raises DataError if the task did, RuntimeError with a traceback for any other error of the task, and WorkerDied.
        """
        while future.reply is None:
            self._pump(timeout=None)
        return future.value(future.reply)

    def wait(self, future: Future[Any], seconds: float) -> bool:
        """Wait at most ``seconds`` for the result. Return whether it is there. Raises WorkerDied."""
        end = time.monotonic() + seconds
        while future.reply is None and (left := end - time.monotonic()) > 0:
            self._pump(left)
        return future.done

    def close(self) -> None:
        """End the processes once they have finished the tasks that they run."""
        atexit.unregister(self.close)
        for worker in self._workers:
            worker.pipe.close()
            if worker.process.is_alive() and worker.process.pid:
                os.kill(worker.process.pid, signal.SIGCONT)  # one that is suspended would never end
        for worker in self._workers:
            worker.process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for worker in self._workers:
                worker.process.kill()
        self.close()

    def _pump(self, timeout: float | None) -> None:
        """Send tasks and receive replies. Wait at most ``timeout`` seconds for the first; None: as long as it takes."""
        self._send()
        ready: Sequence[Any] = connection.wait([worker.pipe for worker in self._workers], timeout)
        for worker in self._workers:
            if worker.pipe in ready:
                self._receive(worker)
        self._send()

    def _send(self) -> None:
        for depth in range(_AHEAD):
            for worker in self._workers[: self._in_use]:
                tasks = self._urgent if worker.spare else self._urgent or self._waiting
                if tasks and len(worker.running) == depth:
                    worker.running.append(tasks.popleft())
                    try:
                        worker.pipe.send_bytes(worker.running[-1].encoded)
                    except OSError:
                        raise _died(worker) from None

    def _receive(self, worker: _Worker) -> None:
        try:
            reply = msgspec.msgpack.decode(worker.pipe.recv_bytes(), type=_Reply)
        except (EOFError, OSError):
            raise _died(worker) from None
        worker.running.popleft().reply = reply


@contextlib.contextmanager
def _without_blas_threads() -> Iterator[None]:
    """Let processes start whose NumPy has one thread. Otherwise OpenBLAS starts one for each core in each of them."""
    given = os.environ.get(_BLAS_THREADS)
    os.environ[_BLAS_THREADS] = "1"
    try:
        yield
    finally:
        if given is None:
            del os.environ[_BLAS_THREADS]
        else:
            os.environ[_BLAS_THREADS] = given


def _died(worker: _Worker) -> WorkerDied:
    worker.process.join(timeout=5)
    code = worker.process.exitcode
    how = f"was ended by {signal_name(-code)}" if code is not None and code < 0 else f"ended ({code})"
    return WorkerDied(f"a worker process {how}" + (f" during {worker.running[0]}" if worker.running else ""))


def _work(pipe: Connection, context: Any, tasks: Any) -> None:
    """Run one task after the other until the pipe ends."""
    wake_when_orphaned()
    prepare_streams()
    try:
        while True:
            task = msgspec.msgpack.decode(pipe.recv_bytes(), type=tasks)
            try:
                reply = _Reply(result=msgspec.msgpack.encode(task.run(context)))
            except DataError as error:
                kind: Literal["unavailable", "data"] = "unavailable" if isinstance(error, UnavailableError) else "data"
                reply = _Reply(error_type=kind, error=error_text(error))
            except Exception:
                reply = _Reply(error_type="unexpected", error=traceback.format_exc())
            pipe.send_bytes(msgspec.msgpack.encode(reply))
    except (EOFError, OSError):
        return  # the main process has closed its end of the pipe, or is gone
