"""The private folder that holds the sockets of a run until it ends."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lib.system.file_lock import open_lock_file, try_lock

# The path of a Unix socket has at most 107 bytes. The names of our sockets take up to 24 of them.
_FOLDER_BYTES = 107 - 24
_PREFIX = "trainer-"
# Locked while the run's supervisor lives. The kernel releases the lock however the supervisor ends.
_LOCK = "lock"


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """Create a private folder (mode 0700) and remove it at the end. Also removes the folders of killed runs."""
    parent = Path(tempfile.gettempdir() if len(tempfile.gettempdir()) + 20 < _FOLDER_BYTES else "/tmp")
    _remove_dead(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        lock = open_lock_file(folder / "lock.new", 0o600)
        cleanup.callback(os.close, lock)
        with contextlib.suppress(OSError):  # without locks no other run can take this one for dead either
            try_lock(lock)
        (folder / "lock.new").rename(folder / _LOCK)  # the file is locked before others can find it
        yield folder


def _remove_dead(parent: Path) -> None:
    """Remove the folders of runs whose processes were all killed."""
    for path in parent.glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError):  # of a live run or another user, or already removed
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                if try_lock(lock):
                    shutil.rmtree(path.parent)
            finally:
                os.close(lock)
