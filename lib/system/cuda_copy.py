"""Many small copies from page-locked memory to a GPU, by calls of CUDA's driver: no tensors are made for each."""

import ctypes
from collections.abc import Iterable

_DRIVER = "libcuda.so.1"


class HostToDevice:
    """Enqueues copies on a stream of the current device."""

    def __init__(self) -> None:
        self._copy = ctypes.CDLL(_DRIVER).cuMemcpyHtoDAsync_v2
        self._copy.argtypes = ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
        self._copy.restype = ctypes.c_int

    def __call__(self, targets: Iterable[int], sources: Iterable[int], n_bytes: int, stream: int) -> None:
        """Copy ``n_bytes`` from each address of ``sources`` to the device address in its place of ``targets``."""
        for target, source in zip(targets, sources, strict=True):
            if status := self._copy(target, source, n_bytes, stream):
                raise RuntimeError(f"a copy to the GPU failed with CUDA driver error {status}")
