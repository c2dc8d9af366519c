"""Start one process a role, watch them, and end them together.

Whoever dies, fails or falls silent first ends the run, and is named with what it was doing. The supervisor
itself never waits for long on anything, so it is always there to do that.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import zmq

from lib.errors import ProtocolError, error_text
from lib.ipc.channel import MAX_BYTES
from lib.ipc.messages import Failed, Heartbeat, Stopped, decode
from lib.system.terminal import print_stderr

# How often processes are looked at, in seconds.
_TICK_S = 0.1
# A stopped process (SIGSTOP, Ctrl-Z on it alone) gets this long to be continued.
_STOPPED_S = 3.0
# After the first failure, time for others' last words: they may hold the cause of it.
_LAST_WORDS_S = 0.5
# Roles end together: once one is done, the others get this long.
_GRACE_S = 30.0
# The kernel ends a killed process at once, unless it waits within the kernel, for a disk or a device.
_KILLED_S = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: its exit status, and what to tell the user (nothing if all went well)."""

    status: int
    message: str = ""
    traceback: str = ""


@dataclass
class _Child:
    """A role's process and what was last heard of it."""

    name: str
    process: subprocess.Popen[bytes]
    doing: str = "starting"
    heard_at: float = field(default_factory=time.monotonic)
    patience_s: float = 60.0
    stopped_at: float | None = None
    done_at: float | None = None
    failed: Failed | None = None
    stopped: Stopped | None = None


class Supervisor:
    """Runs ``roles``, pairs of (module, rank), which talk through sockets in ``folder``.

    ``fix`` is what the user may do once a run has ended early; ``lock``, where there is one, the open file by
    whose lock the run's results are ours: trainers hold it too, so it stays while one of them still saves.
    """

    def __init__(
        self,
        folder: Path,
        roles: Sequence[tuple[str, int]],
        patience_s: float,
        *,
        fix: str = "",
        lock: int | None = None,
    ) -> None:
        self._folder, self._roles, self._patience_s = folder, roles, patience_s
        self._fix, self._lock = fix, lock
        self._children: dict[str, _Child] = {}
        self._asked_by: list[signal.Signals] = []

    def run(self) -> Outcome:
        """Until all are done, one fails, or the user stops them. Nothing is left running, however it ends."""
        context = zmq.Context()
        try:
            inbox = context.socket(zmq.PULL)
            inbox.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
            inbox.bind(f"ipc://{self._folder / 'supervisor'}")
            with _handled(self._asked_by):
                self._start()
                outcome = self._watch(inbox)
        except Exception as error:  # a fault of ours must not leave the others alone
            outcome = self._early(1, f"the supervisor failed: {error_text(error)}.", traceback.format_exc())
        finally:
            stuck = self._kill_all()
            context.destroy(linger=0)
        return replace(outcome, message=" ".join(filter(None, [outcome.message, stuck])))

    def _early(self, status: int, what: str, traceback: str = "") -> Outcome:
        """``what`` ended the run, and what to do now."""
        return Outcome(status, f"{what} {self._fix}".rstrip(), traceback)

    def _start(self) -> None:
        root = Path(__file__).parents[2]
        path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
        # Ctrl-C, and the end of the terminal, go to all of its processes, but only the supervisor answers: children
        # inherit that these are blocked, and what comes meanwhile reaches us afterwards.
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
        try:
            for role, rank in self._roles:
                command = [sys.executable, "-P", "-m", f"lib.roles.{role}", str(self._folder), str(rank)]
                process = subprocess.Popen(
                    command,
                    env=os.environ | {"PYTHONPATH": path},
                    stdin=subprocess.DEVNULL,
                    pass_fds=() if self._lock is None or role != "trainer" else (self._lock,),
                )
                name = f"{role} {rank}"
                self._children[name] = _Child(name, process, patience_s=self._patience_s)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)

    @property
    def _trainers(self) -> list[_Child]:
        return [self._children[f"{role} {rank}"] for role, rank in self._roles if role == "trainer"]

    def _kill_all(self) -> str:
        """End whoever is left; what to tell of those that the kernel does not let go."""
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
        return f"Killed, but held by the kernel, as by a disk that is away: {', '.join(stuck)}." if stuck else ""

    def _watch(self, inbox: zmq.Socket[bytes]) -> Outcome:
        passed_on = 0
        looked_at = time.monotonic()
        while any(child.process.poll() is None for child in self._children.values()):
            if inbox.poll(int(_TICK_S * 1000)):
                self._listen(inbox)
            if (now := time.monotonic()) - looked_at > 10 * _TICK_S:
                # We were stopped ourselves (Ctrl-Z), and so were they: that is no silence of theirs.
                self._forgive(now - looked_at)
            looked_at = now
            if outcome := self._failure(inbox, now):
                return outcome
            if len(self._asked_by) > passed_on:
                passed_on = len(self._asked_by)
                if not self._trainers:  # nobody who would save anything
                    return Outcome(128 + self._asked_by[0], "stopped")
                if passed_on > 1:
                    return Outcome(128 + self._asked_by[0], "stopped at once; the last checkpoint stands")
                self._ask_trainers_to_stop()
        self._listen(inbox)
        return self._failure(inbox, looked_at) or self._ended()

    def _ended(self) -> Outcome:
        """All have ended well: because they were done, or asked to."""
        left = {child.name: child.stopped for child in self._children.values() if child.stopped}
        if self._asked_by and left:
            saved = max(news.saved for news in left.values())  # one trainer saves for all, the others name none
            why = f"stopped after saving {saved}." if saved else "stopped, with a checkpoint."
            return self._early(128 + self._asked_by[0], why)
        if self._asked_by:
            return Outcome(128 + self._asked_by[0])
        for name, news in left.items():
            why = f"{name} was asked to stop by {signal.Signals(news.signal).name}, so all stopped, with a checkpoint."
            return self._early(128 + news.signal, why)
        return Outcome(0)

    def _listen(self, inbox: zmq.Socket[bytes]) -> None:
        while inbox.poll(0):
            with contextlib.suppress(ProtocolError):  # a stranger's frame is no news of ours
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
        """What ends the run now, if anything does."""
        dead = [c for c in self._children.values() if c.process.poll() not in (None, 0) or c.failed]
        if dead and self._asked_by and all(c.process.poll() == -signal.SIGTERM for c in dead):
            return Outcome(128 + self._asked_by[0], "stopped before training began")
        if dead:
            deadline = time.monotonic() + _LAST_WORDS_S
            while time.monotonic() < deadline:
                inbox.poll(int(_TICK_S * 1000))
                self._listen(inbox)
            return self._blame()
        return self._silence(now)

    def _blame(self) -> Outcome:
        """The process that failed first of its own accord, not because another one did."""
        children = self._children.values()
        killed = [c for c in children if (c.process.poll() or 0) < 0]
        failed = [c for c in children if c.failed and not c.failed.consequence]
        followed = [c for c in children if c.failed and c.failed.consequence]
        silent = [c for c in children if c.process.poll() not in (None, 0)]
        return self._explain((failed or killed or followed or silent)[0])

    def _silence(self, now: float) -> Outcome | None:
        """Whoever is stopped, says nothing any more, or stays when the others have left."""
        for child in self._children.values():
            if child.process.poll() is not None:
                child.done_at = child.done_at or now
        first_done = min((child.done_at for child in self._children.values() if child.done_at), default=now)
        for child in self._children.values():
            if child.done_at:
                continue
            child.stopped_at = (child.stopped_at or now) if _is_stopped(child.process.pid) else None
            if child.stopped_at and now - child.stopped_at > _STOPPED_S:
                why = f"was stopped (SIGSTOP) for {_STOPPED_S:g} s"
            elif now - child.heard_at > child.patience_s:
                why = f"gave no sign of life for {child.patience_s:g} s (run.patience_s)"
            elif now - first_done > _GRACE_S:
                why = f"was still there {_GRACE_S:g} s after others had ended,"
            else:
                continue
            return self._early(1, f"{child.name} {why} while {child.doing}; the run was ended.")
        return None

    def _forgive(self, gap_s: float) -> None:
        for child in self._children.values():
            child.heard_at += gap_s
            child.stopped_at = None
            child.done_at = child.done_at and child.done_at + gap_s

    def _ask_trainers_to_stop(self) -> None:
        print_stderr("\nstopping after this iteration; once more to stop at once")
        for child in self._trainers:
            if child.process.poll() is None:
                child.process.terminate()

    def _explain(self, child: _Child) -> Outcome:
        """One message: who, why, and what to do."""
        if child.failed and not child.failed.traceback:
            return Outcome(2, child.failed.error)
        if child.failed:
            why = f"{child.name} failed while {child.doing}: {child.failed.error}."
            return self._early(1, why, child.failed.traceback)
        status = child.process.poll() or 0
        if status >= 0:
            return Outcome(1, f"{child.name} ended with status {status} while {child.doing}; see its output above.")
        name = signal.Signals(-status).name
        hint = " (often the kernel, out of memory: see dmesg)" if -status == signal.SIGKILL else ""
        return self._early(1, f"{child.name} was killed by {name}{hint} while {child.doing}.")


def _remove_shared_memory(pid: int) -> None:
    """What CUDA IPC leaves of a process that has ended, named after it by torch and by NVIDIA's driver."""
    for name in (f"torch_{pid}_*", f"cuda.shm.*.{pid:x}.*"):
        for path in Path("/dev/shm").glob(name):
            with contextlib.suppress(OSError):  # gone, or another user's of a process with the number of ours
                path.unlink()


def _is_stopped(pid: int) -> bool:
    """Whether the kernel has the process down as stopped by a signal (Linux; elsewhere never)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"


@contextlib.contextmanager
def _handled(asked_by: list[signal.Signals]) -> Iterator[None]:
    """While inside, signals that ask the run to end are noted in ``asked_by`` instead of ending us."""
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # else nohup has asked that the terminal's end be nothing
        signals.append(signal.SIGHUP)
    previous = {s: signal.signal(s, lambda number, _: asked_by.append(signal.Signals(number))) for s in signals}
    try:
        yield
    finally:
        for s, handler in previous.items():
            signal.signal(s, handler)
