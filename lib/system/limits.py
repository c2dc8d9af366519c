"""The limits of a process: on open files, raised to what a run needs; on memory, for a process beside a run."""

import contextlib
import re
import resource
from pathlib import Path

from ..errors import ResourceError

# Files that Python, torch and their libraries open in a process, and sockets to one more worker.
_BASE_FILES, _FILES_PER_WORKER = 64, 16
# A loader's cache of open batch files may take two fifths of the limit for each split.
_HEADROOM = 3
# torch and matplotlib alone need about half of this.
_MIN_MEMORY = 1 << 30


def raise_open_files_limit(*, batch_files: int, batch_size: int, world_size: int) -> None:
    """Raise the soft limit on open files of this process and its children to what a run needs.

    Raises ResourceError if the hard limit is too low.
    """
    needed = open_files(batch_files=batch_files, batch_size=batch_size, world_size=world_size)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ResourceError(
            f"a process may open {hard} files on this machine, but this run needs {needed}: raise the limit "
            "(ulimit -Hn; /etc/security/limits.conf; docker run --ulimit nofile=65536)"
        )
    target = needed + _HEADROOM * batch_files
    if hard != resource.RLIM_INFINITY:
        target = min(target, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


def open_files(*, batch_files: int, batch_size: int, world_size: int) -> int:
    """Return the lowest usable limit: all batch files at once, or, if that is fewer, those of a batch of each split."""
    base = _BASE_FILES + _FILES_PER_WORKER * world_size
    return min(base + batch_files, max(5 * base, base + 2 * batch_size))


def spare_memory() -> None:
    """Limit this process to half of the free memory, and let the kernel end it first where memory is short.

    Does nothing where there is no /proc.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        found = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"))
        if found:
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            half = max(_MIN_MEMORY, int(found[1]) * 1024 // 2)
            resource.setrlimit(resource.RLIMIT_DATA, (half if hard < 0 else min(half, hard), hard))
