"""What a disk gives: its speed, not what the machine remembers of it, and its free room."""

import errno
import os
import time
from collections.abc import Iterable
from pathlib import Path

_CHUNK = 8 << 20
_REFUSALS = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "raise the limit (ulimit -f)",
    errno.EROFS: "make it writable",
}


def read_speed(paths: Iterable[Path], at_most: int = 512 << 20) -> float:
    """Bytes a second of reading files from the first on, after asking the kernel to forget them.

    Raises OSError when one cannot be read.
    """
    done, seconds = 0, 0.0
    for path in paths:
        if done >= at_most:
            break
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            began = time.perf_counter()
            while done < at_most and (chunk := os.read(descriptor, _CHUNK)):
                done += len(chunk)
            seconds += time.perf_counter() - began
        finally:
            os.close(descriptor)
    return done / max(seconds, 1e-9)


def free_bytes(path: Path) -> int:
    """Room for us on the disk where ``path`` lies, or would lie. Raises OSError."""
    while not path.exists() and path != path.parent:
        path = path.parent
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


def disk_trouble(error: BaseException) -> str:
    """What to tell of an error with which a disk refused to be written; nothing of any other error.

    >>> disk_trouble(OSError(errno.ENOSPC, "No space left on device", "models/metrics.jsonl"))
    'cannot write models/metrics.jsonl: No space left on device; make room and start again'
    >>> disk_trouble(OSError(errno.ENOENT, "No such file or directory", "models/metrics.jsonl"))
    ''
    """
    if not isinstance(error, OSError) or error.errno not in _REFUSALS:
        return ""
    name = f" {error.filename}" if error.filename else ""
    return f"cannot write{name}: {error.strerror}; {_REFUSALS[error.errno]} and start again"
