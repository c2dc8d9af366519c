"""What a run needs of the machine besides its devices: asked for before any process is started."""

import resource

from lib.config.schema import Config
from lib.data.dataset import DataSet
from lib.errors import ResourceError

# What Python, torch and their libraries open in a process; sockets to one more worker.
_OPEN_FILES, _OPEN_FILES_A_WORKER = 64, 16
# A loader lets each split have two fifths of the limit.
_SPARE = 3


def allow_many_files(config: Config, data: DataSet) -> None:
    """Let this process, and those it starts, open as many files as the run needs. Raises ResourceError."""
    needed = open_files(config, data)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ResourceError(
            f"a process may open {hard} files here, and this run needs {needed}: raise the limit (ulimit -Hn; "
            "/etc/security/limits.conf; docker run --ulimit nofile=65536)"
        )
    wanted = needed + _SPARE * (len(data.train_counts) + len(data.val_counts))
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def open_files(config: Config, data: DataSet) -> int:
    """What the limit must be: for all batch files at once, which is faster, or for those of a batch of each split."""
    base = _OPEN_FILES + _OPEN_FILES_A_WORKER * config.world_size
    every = len(data.train_counts) + len(data.val_counts)
    return min(base + every, max(5 * base, base + 2 * config.batch_size))
