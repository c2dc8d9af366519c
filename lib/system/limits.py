"""The limit on open files of a process, raised to what a run needs before its processes start."""

import resource

from lib.errors import ResourceError

# Files that Python, torch and their libraries open in a process, and sockets to one more worker.
_BASE_FILES, _FILES_PER_WORKER = 64, 16
# A loader's cache of open batch files may take two fifths of the limit for each split.
_HEADROOM = 3


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
