"""The private folder of a run, which holds its sockets while it lasts."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# A Unix socket's path may have some 107 bytes; ours add this many to the folder's.
_SOCKET_NAME_BYTES = 24
_SOCKET_PATH_BYTES = 107
_PREFIX = "trainer-"
# Locked as long as the run's supervisor lives: the kernel lets go of it however that one ends.
_LOCK = "lock"


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """A folder of this run's own (mode 0700), removed at the end; so are those of runs that were killed."""
    longest = _SOCKET_PATH_BYTES - _SOCKET_NAME_BYTES
    place = Path(tempfile.gettempdir() if len(tempfile.gettempdir()) + 20 < longest else "/tmp")
    _remove_dead(place)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    try:
        lock = _create_locked(folder / _LOCK)
        try:
            yield folder
        finally:
            os.close(lock)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _create_locked(path: Path) -> int:
    """A file that is locked by us from the moment that it has its name; its descriptor."""
    aside = path.with_suffix(".new")
    lock = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):  # a disk that knows no locks: then nobody takes us for dead either
        fcntl.flock(lock, fcntl.LOCK_EX)
    aside.rename(path)
    return lock


def _remove_dead(place: Path) -> None:
    """Take away what is left of runs all of whose processes were killed."""
    for path in place.glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError):  # it lives, is another user's, or has just been taken away
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.parent)
            finally:
                os.close(lock)
