"""The private folder that holds the sockets of a run until it ends."""

import contextlib
import os
import shutil
import socket
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import ResourceError
from ..system.file_lock import open_lock_file, try_lock

# The path of a Unix socket has at most 107 bytes. The names of our sockets take up to 24 of them.
_FOLDER_BYTES = 107 - 24
# With the machine: where file locks fail, its runs must not take those of another machine for dead.
_PREFIX = f"trainer-{zlib.crc32(os.fsencode(os.uname().nodename)):08x}-"
# Locked while the run's supervisor lives. The kernel releases the lock however the supervisor ends.
_LOCK = "lock"


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """Create a private folder (mode 0700) and remove it at the end. Also removes the folders of killed runs.

    Raises ResourceError if neither the folder for temporary files nor /tmp can hold sockets.
    """
    folder = _make_folder()
    _remove_dead(folder.parent)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        lock = open_lock_file(folder / "lock.new", 0o600)
        cleanup.callback(os.close, lock)
        with contextlib.suppress(OSError):  # without locks no other run can take this one for dead either
            try_lock(lock)
        (folder / "lock.new").rename(folder / _LOCK)  # the file is locked before others can find it
        yield folder


def _make_folder() -> Path:
    """Return a new folder with a path short enough for sockets, on a disk that can hold them."""
    problems = []
    for parent in dict.fromkeys([tempfile.gettempdir(), "/tmp"]):
        if len(os.fsencode(parent)) + 1 + len(_PREFIX) + 8 > _FOLDER_BYTES:
            problems.append(f"{parent}: longer than {_FOLDER_BYTES - 9 - len(_PREFIX)} bytes")
            continue
        try:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        except OSError as error:
            problems.append(f"{parent}: {error.strerror}")
            continue
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.bind(os.fsencode(folder / "probe"))
            (folder / "probe").unlink()
        except OSError as error:
            problems.append(f"{parent}: {error.strerror}")
            shutil.rmtree(folder, ignore_errors=True)
        else:
            return folder
    raise ResourceError(f"no folder for the sockets of a run ({'; '.join(problems)}); set TMPDIR to a folder for them")


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
