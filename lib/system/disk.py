"""Measure a disk's speed and free space, and explain its errors."""

import errno
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

_CHUNK_BYTES = 8 << 20
_FIXES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "raise the limit (ulimit -f)",
    errno.EROFS: "make it writable",
}


def read_speed(paths: Iterable[Path], at_most: int = 512 << 20) -> float:
    """Return the bytes a second at which files are read, after asking the kernel to drop them from its cache.

    Reads at most ``at_most`` bytes, from the first file on. Raises OSError.
    """
    done, seconds = 0, 0.0
    for path in paths:
        if done >= at_most:
            break
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            start = time.perf_counter()
            while done < at_most and (chunk := file.read(_CHUNK_BYTES)):
                done += len(chunk)
            seconds += time.perf_counter() - start
    return done / max(seconds, 1e-9)


def free_bytes(path: Path) -> int:
    """Return the free space on the disk that holds ``path``, or would hold it. Raises OSError."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def disk_error_text(error: BaseException) -> str:
    """Return a message for an error with which a disk refused a write; "" for any other error.

    >>> disk_error_text(OSError(errno.ENOSPC, "No space left on device", "models/metrics.jsonl"))
    'cannot write models/metrics.jsonl: No space left on device; make room and start again'
    >>> disk_error_text(OSError(errno.ENOENT, "No such file or directory", "models/metrics.jsonl"))
    ''
    """
    if not isinstance(error, OSError) or error.errno not in _FIXES:
        return ""
    name = f" {error.filename}" if error.filename else ""
    return f"cannot write{name}: {error.strerror}; {_FIXES[error.errno]} and start again"
