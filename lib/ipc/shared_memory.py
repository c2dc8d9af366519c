"""Memory shared by processes of one machine, as NumPy arrays.

The memory has no name: users open the owner's file descriptor through ``/proc``. So it does not use a container's
small /dev/shm, and it is freed with the last process that maps it, however that process ends. Linux only.
"""

import math
import mmap
import os
import re
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PeerLost, ProtocolError, ResourceError
from .messages import TensorHandle


def create(name: str, shape: tuple[int, ...], dtype: str) -> tuple[NDArray[Any], TensorHandle]:
    """Return a zeroed array, and a handle with which other processes can ``attach`` to it while the array exists.

    Raises ResourceError if there is not enough memory: now, not at the first use of a page.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
        if size:
            os.posix_fallocate(descriptor, 0, size)
        memory = mmap.mmap(descriptor, max(size, 1))
    except OSError as error:
        raise ResourceError(
            f"no memory for {name}, {size / 1e9:.3f} GB of shared memory: {error.strerror}; lower batch_size or "
            "data.slots, or raise the limit (ulimit -a; the container's memory)"
        ) from None
    # The open descriptor is the address. The array, and every view of it, keeps ``memory`` alive.
    weakref.finalize(memory, os.close, descriptor).atexit = False
    array = np.frombuffer(memory, dtype, math.prod(shape)).reshape(shape)
    return array, TensorHandle(name, f"file:/proc/{os.getpid()}/fd/{descriptor}", shape, dtype)


def attach(handle: TensorHandle) -> NDArray[Any]:
    """Return the owner's array.

    Raises PeerLost if the owner has ended, ProtocolError if the address is not of this kind or its memory too small.
    """
    address = re.fullmatch(r"file:(/proc/\d+/fd/\d+)", handle.address)
    if address is None or any(n < 0 for n in handle.shape):
        raise ProtocolError(f"{handle} does not address mapped memory")
    size = math.prod(handle.shape) * np.dtype(handle.dtype).itemsize
    try:
        descriptor = os.open(address[1], os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise PeerLost(f"the owner of {handle.name} has ended") from None
    try:
        if os.fstat(descriptor).st_size < size:
            raise ProtocolError(f"{handle} is larger than the memory behind it")
        memory = mmap.mmap(descriptor, max(size, 1))
        return np.frombuffer(memory, handle.dtype, math.prod(handle.shape)).reshape(handle.shape)
    finally:
        os.close(descriptor)
