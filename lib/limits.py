"""What a run needs of the machine besides its devices: asked for before any process is started."""

import resource

from lib.config import Config
from lib.data.data_set import DataSet
from lib.errors import ResourceError

# What Python, torch and their libraries open in a process; sockets to one more worker.
_OPEN_FILES, _OPEN_FILES_A_WORKER = 64, 16
# Batch files of a split that a loader keeps open at least; it is faster with all of them.
_BATCH_FILES = 256
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
    """How many files the process that needs most may have open at once."""
    loader = sum(min(len(counts), _BATCH_FILES + config.batch_size) for counts in (data.train_counts, data.val_counts))
    return _OPEN_FILES + _OPEN_FILES_A_WORKER * config.world_size + loader
