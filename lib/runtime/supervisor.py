"""Start one process per role, watch them, and end them together.

The first process that dies, fails or falls silent ends the run. The message names it and what it was doing. The
supervisor never blocks for long, so it can always do that.
"""

import contextlib
import signal
import subprocess
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import zmq

from ..errors import ProtocolError, error_text
from ..ipc.channel import MAX_BYTES
from ..ipc.messages import Failed, Heartbeat, Stopped, decode
from ..system.python_module import module_command, module_environment
from ..system.signals import SUPERVISOR_ONLY
from ..system.terminal import print_stderr
from .outcome import Child, Outcome, explain_end, explain_failure, find_unresponsive, first_failure
from .stop_signals import StopSignals

# The pause between two checks of the processes, in seconds.
_TICK_S = 0.1
# After the first failure, wait this long for messages of other processes: one of them may be the cause.
_LAST_MESSAGES_S = 0.5
# The first heartbeat may take this many times as long as the others.
_START_FACTOR = 10
# The kernel ends a killed process at once, unless the process waits inside the kernel for a disk or a device.
_KILLED_S = 10.0


@dataclass
class Supervisor:
    """Runs ``roles``, pairs of (module, rank), which communicate through sockets in ``folder``."""

    folder: Path
    roles: Sequence[tuple[str, int]]
    patience_s: float
    fix: str = ""
    """how the user can continue after an early end"""
    lock: int | None = None
    """descriptor of the lock that protects the results; trainers inherit it, so it holds while one still saves"""
    _children: dict[str, Child] = field(default_factory=dict, init=False)
    _signals: StopSignals = field(default_factory=StopSignals, init=False)

    def run(self) -> Outcome:
        """Run until all processes have ended, one fails, or the user stops them. No process survives the call."""
        with self._signals:  # until all have ended: a late signal must not leave them alone
            return self._run()

    def _run(self) -> Outcome:
        context = zmq.Context()
        try:
            inbox = context.socket(zmq.PULL)
            inbox.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
            inbox.bind(f"ipc://{self.folder / 'supervisor'}")
            self._start()
            outcome = self._watch(inbox)
        except Exception as error:  # a fault of the supervisor must not leave the processes alone
            message = f"the supervisor failed: {error_text(error)}. {self.fix}".rstrip()
            outcome = Outcome(1, message, traceback.format_exc())
        finally:
            stuck = self._kill_all()
            context.destroy(linger=0)
        return replace(outcome, message=" ".join(filter(None, [outcome.message, stuck])))

    def _start(self) -> None:
        # These signals often reach all processes, but only the supervisor may react. Children inherit that they are
        # blocked, until they ignore them. A signal that arrives meanwhile reaches the supervisor afterwards.
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, SUPERVISOR_ONLY)
        try:
            for role, rank in self.roles:
                process = subprocess.Popen(
                    [*module_command(f"roles.{role}"), str(self.folder), str(rank)],
                    env=module_environment(),
                    stdin=subprocess.DEVNULL,
                    pass_fds=() if self.lock is None or role != "trainer" else (self.lock,),
                )
                name = f"{role} {rank}"
                # Until its first heartbeat a process imports torch, which takes minutes from some network disks.
                self._children[name] = Child(name, process, patience_s=_START_FACTOR * self.patience_s)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)

    def _watch(self, inbox: zmq.Socket[bytes]) -> Outcome:
        asked = False  # the trainers to stop
        checked_at = time.monotonic()
        while any(child.process.poll() is None for child in self._children.values()):
            if inbox.poll(int(_TICK_S * 1000)):
                self._read_messages(inbox)
            if (now := time.monotonic()) - checked_at > 10 * _TICK_S:
                # Ctrl-Z suspended the supervisor, and its processes with it: they are not to blame for their silence.
                self._extend_deadlines(now - checked_at)
            checked_at = now
            if outcome := self._failure(inbox, now):
                return outcome
            if number := self._signals.first:
                if not self._trainers:  # nothing to save
                    return Outcome(128 + number, "stopped")
                if self._signals.at_once:
                    return Outcome(128 + number, "stopped at once; the last checkpoint remains")
                if not asked:
                    asked = True
                    self._ask_trainers_to_stop()
        self._read_messages(inbox)
        children = list(self._children.values())
        return self._failure(inbox, checked_at) or explain_end(children, self._signals.first, self.fix)

    def _read_messages(self, inbox: zmq.Socket[bytes]) -> None:
        while inbox.poll(0):
            with contextlib.suppress(ProtocolError):  # not from one of the run's processes
                message = decode(inbox.recv())
                if not isinstance(message, Heartbeat | Failed | Stopped) or message.role not in self._children:
                    continue
                child = self._children[message.role]
                child.heard_at = time.monotonic()
                match message:
                    case Failed():
                        child.failed = message
                    case Stopped():
                        child.stopped = message
                    case Heartbeat(_, doing, patience_s):
                        child.doing, child.patience_s = doing, patience_s

    def _failure(self, inbox: zmq.Socket[bytes], now: float) -> Outcome | None:
        """Return the outcome if a process has failed or does not respond."""
        children = list(self._children.values())
        failed = [child for child in children if child.has_failed]
        number = self._signals.first
        if failed and number and all(child.process.poll() == -signal.SIGTERM for child in failed):
            return Outcome(128 + number, "stopped before training began")
        if not failed:
            return find_unresponsive(children, now, self.fix)
        deadline = time.monotonic() + _LAST_MESSAGES_S
        while time.monotonic() < deadline:
            inbox.poll(int(_TICK_S * 1000))
            self._read_messages(inbox)
        return explain_failure(first_failure(children), self.fix)

    def _extend_deadlines(self, gap_s: float) -> None:
        for child in self._children.values():
            child.heard_at += gap_s
            child.suspended_at = None
            child.ended_at = child.ended_at and child.ended_at + gap_s

    @property
    def _trainers(self) -> list[Child]:
        return [self._children[f"{role} {rank}"] for role, rank in self.roles if role == "trainer"]

    def _ask_trainers_to_stop(self) -> None:
        print_stderr("\nstopping after this iteration; interrupt again to stop at once")
        for child in self._trainers:
            if child.process.poll() is None:
                child.process.terminate()

    def _kill_all(self) -> str:
        """Kill all processes that still run. Return a message about those that the kernel does not release."""
        children = self._children.values()
        for child in children:
            child.process.kill()
        deadline = time.monotonic() + _KILLED_S
        stuck = []
        for child in children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                stuck.append(f"{child.name} (process {child.process.pid})")
            _remove_shared_memory(child.process.pid)
        if not stuck:
            return ""
        return f"Killed, but still held by the kernel, for example by an unreachable disk: {', '.join(stuck)}."


def _remove_shared_memory(pid: int) -> None:
    """Remove the files that CUDA IPC leaves of an ended process. Their names contain its id."""
    for name in (f"torch_{pid}_*", f"cuda.shm.*.{pid:x}.*"):
        for path in Path("/dev/shm").glob(name):
            with contextlib.suppress(OSError):  # already removed, or of another user's process with the same id
                path.unlink()
