"""Memory that this process and the workers it spawns both see."""

import mmap
import os
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np
from numpy.typing import NDArray


class SharedBuffer:
    """Bytes in memory without a name: nothing can be left behind, however the processes end.

    Handing it to a spawned process as an argument gives that process the same memory.
    """

    def __init__(self, size: int, fd: int | None = None) -> None:
        self._fd = _anonymous_file(size) if fd is None else fd
        self.size = size
        self._map = mmap.mmap(self._fd, size)

    def images(self, *shape: int) -> NDArray[np.uint8]:
        """The memory as uint8 of this shape."""
        return np.frombuffer(self._map, np.uint8, count=int(np.prod(shape))).reshape(shape)

    def close(self) -> None:
        """Give up the file; the memory itself goes with the last array."""
        os.close(self._fd)

    def __reduce__(self) -> tuple[Any, ...]:
        return _attach, (self.size, DupFd(self._fd))


def _attach(size: int, handle: Any) -> SharedBuffer:
    return SharedBuffer(size, handle.detach())


def _anonymous_file(size: int) -> int:
    fd = os.memfd_create("pictures")
    os.ftruncate(fd, size)
    return fd
