"""How a run ended: which process failed first, why, and what the user can do. None of this needs a socket."""

import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..ipc.messages import Failed, Stopped
from ..system.signals import signal_name

# A process that a signal suspended (SIGSTOP, or Ctrl-Z for it alone) gets this long to be continued.
_SUSPENDED_S = 3.0
# Roles end together: once one has ended, the others get this long, or as long as what they do may take.
_GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The exit status of a run and the message for the user, empty if all went well."""

    status: int
    message: str = ""
    traceback: str = ""


@dataclass
class Child:
    """A role's process, and its latest messages."""

    name: str
    process: subprocess.Popen[bytes]
    doing: str = "starting"
    heard_at: float = field(default_factory=time.monotonic)
    patience_s: float = 60.0
    suspended_at: float | None = None
    ended_at: float | None = None
    failed: Failed | None = None
    stopped: Stopped | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the process reported an error or ended with one."""
        return self.failed is not None or self.process.poll() not in (None, 0)


def first_failure(children: Sequence[Child]) -> Child:
    """Return the process that failed first, among ``children`` of which at least one has failed.

    An error that is not the consequence of another process's error comes first. Next come processes that a signal
    killed, then consequences, then processes that ended without a message.
    """
    failed = [c for c in children if c.failed and not c.failed.consequence]
    killed = [c for c in children if (c.process.poll() or 0) < 0]
    followed = [c for c in children if c.failed and c.failed.consequence]
    return (failed or killed or followed or [c for c in children if c.has_failed])[0]


def explain_failure(child: Child, fix: str) -> Outcome:
    """Return the outcome of a run that ended because ``child`` failed. ``fix`` says how to continue."""
    if child.failed and not child.failed.traceback:
        return Outcome(2, child.failed.error)
    if child.failed:
        message = f"{child.name} failed while {child.doing}: {child.failed.error}. {fix}".rstrip()
        return Outcome(1, message, child.failed.traceback)
    status = child.process.poll() or 0
    if status >= 0:
        return Outcome(1, f"{child.name} ended with status {status} while {child.doing}; see its output above.")
    hint = " (often the kernel, out of memory: see dmesg)" if -status == signal.SIGKILL else ""
    return Outcome(1, f"{child.name} was killed by {signal_name(-status)}{hint} while {child.doing}. {fix}".rstrip())


def find_unresponsive(children: Sequence[Child], now: float, fix: str) -> Outcome | None:
    """Return the outcome if a process is suspended, sends no heartbeats, or runs on after the others ended."""
    for child in children:
        if child.process.poll() is not None:
            child.ended_at = child.ended_at or now
    first_end = min((child.ended_at for child in children if child.ended_at), default=now)
    for child in children:
        if child.ended_at:
            continue
        grace_s = max(_GRACE_S, child.patience_s)
        child.suspended_at = (child.suspended_at or now) if _is_suspended(child.process.pid) else None
        if child.suspended_at and now - child.suspended_at > _SUSPENDED_S:
            reason = f"was stopped (SIGSTOP) for {_SUSPENDED_S:g} s"
        elif now - child.heard_at > child.patience_s:
            reason = f"sent no heartbeat for {child.patience_s:g} s (run.patience_s)"
        elif now - first_end > grace_s:
            reason = f"was still running {grace_s:g} s after another process had ended,"
        else:
            continue
        return Outcome(1, f"{child.name} {reason} while {child.doing}; the run was ended. {fix}".rstrip())
    return None


def explain_end(children: Sequence[Child], number: int | None, fix: str) -> Outcome:
    """Return the outcome of a run whose processes all ended without an error. ``number`` is the signal received."""
    stopped = [child.stopped for child in children if child.stopped]
    if number and stopped:
        saved = max(message.saved for message in stopped)  # one trainer saves for all, the others name no checkpoint
        message = f"stopped after saving {saved}." if saved else "stopped, with a checkpoint."
        return Outcome(128 + number, f"{message} {fix}".rstrip())
    if number:
        return Outcome(128 + number, f"complete before {signal_name(number)} could stop it; nothing is left to do")
    if stopped:
        name = signal_name(stopped[0].signal)
        message = f"{stopped[0].role} was asked to stop by {name}, so all stopped, with a checkpoint. {fix}"
        return Outcome(128 + stopped[0].signal, message.rstrip())
    return Outcome(0)


def _is_suspended(pid: int) -> bool:
    """Return whether a signal has suspended the process. Always false where there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"
