"""Copy many pieces of mapped files, or of other memory, in one system call.

Python's lock is free meanwhile. Threads that copy piece by piece in Python take it again after each: with pieces of
some 10 microseconds they mostly wait for each other.
"""

import ctypes
import mmap
import os
import resource

import numpy as np
from numpy.typing import NDArray

# Linux takes no more pieces in one call (IOV_MAX).
_MAX_PIECES = 1024
_MAP_FAILED = ctypes.c_void_p(-1).value


class MemoryCopy:
    """Copies memory of this process, with process_vm_readv(2) of itself."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        self._copy, self._map, self._unmap = libc.process_vm_readv, libc.mmap, libc.munmap
        self._copy.restype = ctypes.c_ssize_t
        vector = ctypes.c_void_p, ctypes.c_ulong
        self._copy.argtypes = ctypes.c_int, *vector, *vector, ctypes.c_ulong
        self._map.restype = ctypes.c_void_p
        self._map.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
        self._unmap.argtypes = ctypes.c_void_p, ctypes.c_size_t

    def map_file(self, descriptor: int, n_bytes: int) -> int:
        """Map a file for reading; return its address, or 0 if the system maps no more.

        Where the address space is limited (``ulimit -v``), nothing is mapped: it is for what cannot do without.
        Python's ``mmap`` would keep a second descriptor open.
        """
        if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
            return 0
        address: int = self._map(None, n_bytes, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        return 0 if address == _MAP_FAILED else address

    def unmap_file(self, address: int, n_bytes: int) -> None:
        """End a mapping: from now on nothing may be copied from there."""
        self._unmap(address, n_bytes)

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
