"""Copy many pieces of memory in one system call.

Python's lock is free meanwhile. Threads that copy piece by piece in Python take it again after each: with pieces of
some 10 microseconds they mostly wait for each other.
"""

import ctypes
import os

import numpy as np
from numpy.typing import NDArray

# Linux takes no more pieces in one call (IOV_MAX).
_MAX_PIECES = 1024


class MemoryCopy:
    """Copies memory of this process, with process_vm_readv(2) of itself."""

    def __init__(self) -> None:
        self._copy = ctypes.CDLL(None).process_vm_readv
        self._copy.restype = ctypes.c_ssize_t
        vector = ctypes.c_void_p, ctypes.c_ulong
        self._copy.argtypes = ctypes.c_int, *vector, *vector, ctypes.c_ulong

    def __call__(self, sources_N: NDArray[np.int64], targets_N: NDArray[np.int64], sizes_N: NDArray[np.int64]) -> bool:
        """Copy ``sizes_N`` bytes from each of the addresses ``sources_N`` to ``targets_N``. Return whether all came.

        Memory that cannot be read, as that of a mapped file whose disk fails, is no error but does not come, and
        neither does anything where a sandbox forbids the call.
        """
        pieces_2N2 = np.empty((2, len(sizes_N), 2), np.int64)
        pieces_2N2[0, :, 0], pieces_2N2[1, :, 0], pieces_2N2[:, :, 1] = targets_N, sources_N, sizes_N
        process = os.getpid()
        for start in range(0, len(sizes_N), _MAX_PIECES):
            targets, sources = pieces_2N2[:, start : start + _MAX_PIECES]
            vectors = targets.ctypes.data, len(targets), sources.ctypes.data, len(sources)
            if self._copy(process, *vectors, 0) != targets[:, 1].sum():
                return False
        return True
