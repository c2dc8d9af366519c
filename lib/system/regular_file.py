"""Open files of which only a name is known: a pipe or a device may have taken their place."""

import errno
import os
import stat
from io import FileIO
from pathlib import Path


def open_regular(path: Path) -> FileIO:
    """Open a file for reading, without a buffer.

    Raises OSError, also for a pipe or a device: opening or reading one could wait for ever.
    """
    return FileIO(path, opener=_open)


def read_regular(path: Path) -> bytes:
    """Return the content of a file. Raises OSError as ``open_regular`` does."""
    with open_regular(path) as file:
        return file.readall()


def _open(name: str, flags: int) -> int:
    descriptor = os.open(name, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # Python refuses a folder itself
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", name)
