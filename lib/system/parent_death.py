"""What becomes of a process when its parent ends."""

import contextlib
import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> bool:
    """Ask the kernel for SIGTERM when the parent process ends (Linux only). Return False if it has already ended."""
    _ask_for(signal.SIGTERM)
    return os.getppid() == parent


def wake_when_orphaned() -> None:
    """Ask the kernel for SIGCONT when the thread that started this process ends (Linux only).

    A process that was suspended (SIGSTOP) would not notice the end of its pipe.
    """
    _ask_for(signal.SIGCONT)


def _ask_for(number: signal.Signals) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
