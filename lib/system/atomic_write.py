"""Write files so that they are complete or not there at all, even after a power cut."""

import errno
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

# Even a slow disk writes this much within seconds.
_SYNC_BYTES = 64 << 20
# Between attempts to rename a file that is busy.
_BUSY_PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6)


class _SyncedFile(io.BufferedRandom):
    """A file that is written to the disk every 64 MiB, with a call of ``on_sync`` after each."""

    def __init__(self, path: Path, on_sync: Callable[[], Any]) -> None:
        super().__init__(io.FileIO(path, "w+"))
        self._on_sync, self._unsynced = on_sync, 0

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _SYNC_BYTES):
            self._unsynced += super().write(view[start : start + _SYNC_BYTES])
            if self._unsynced >= _SYNC_BYTES:
                self.sync()
        return len(view)

    def sync(self) -> None:
        """Bring what was written to the disk."""
        self.flush()
        os.fsync(self.fileno())
        self._on_sync()
        self._unsynced = 0


def atomic_write(path: Path, fill: Callable[[BinaryIO], Any], on_sync: Callable[[], Any] = lambda: None) -> None:
    """Write a file under another name, bring it to the disk, and rename it to ``path``.

    ``fill`` may read what it wrote. ``on_sync`` is called after every 64 MiB on the disk, so that a large file can be
    told from a disk that does not respond. Raises OSError and whatever ``fill`` raises; an older file then stays.
    """
    with _renamed(path) as partial, _SyncedFile(partial, on_sync) as file:
        fill(file)
        file.sync()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield another path to write to. When the block ends, bring that file to the disk and rename it to ``path``."""
    with _renamed(path) as partial:
        yield partial
        _sync(partial)


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file. A reader sees the old file or the new one, never a part of it; a power cut may lose both."""
    partial = _partial(path)
    partial.write_bytes(content)
    _rename(partial, path)


def remove_partials(folder: Path) -> None:
    """Remove the incomplete files of a process that was killed while it wrote."""
    for partial in folder.glob(".*.partial"):
        partial.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make ``folder`` unless it exists, and bring its name and that of its parent to the disk. Raises OSError."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _sync_folder(folder.parent)
        _sync_folder(folder.parent.parent)


@contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, which gets the name ``path`` when the block ends without an error."""
    partial = _partial(path)
    try:
        yield partial
        _rename(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _rename(source: Path, target: Path) -> None:
    """Rename a file. Try again where a disk says for a while that the file is busy, as CIFS does while it is read."""
    for pause_s in _BUSY_PAUSES_S:
        try:
            source.replace(target)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            time.sleep(pause_s)
        else:
            return
    source.replace(target)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk, where that is possible: CIFS and some FUSE file systems refuse it."""
    try:
        _sync(path)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES):
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
