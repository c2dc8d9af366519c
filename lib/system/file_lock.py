"""Locks on open files and folders. The kernel releases a lock when its owner closes the file or ends."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

_POLL_S = 0.1


def open_lock_file(path: Path, mode: int = 0o644) -> int:
    """Open ``path`` for locking, and create it if it does not exist. Returns a descriptor. Raises OSError."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder. Returns False if another process holds the lock.

    Raises OSError if the file system does not support locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(descriptor: int, timeout_s: float, on_wait: Callable[[], None]) -> bool:
    """Lock an open file; call ``on_wait`` once if it has to wait. Returns False after ``timeout_s``.

    Raises OSError if the file system does not support locks.
    """
    if try_lock(descriptor):
        return True
    on_wait()
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if try_lock(descriptor):
            return True
        time.sleep(_POLL_S)
    return False
