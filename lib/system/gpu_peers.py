"""Peer access and copy bandwidth between two GPUs of one machine."""

import time
from collections.abc import Callable

import torch

_BYTES = 256 << 20
_ROUNDS = 5


def can_access(first: int, second: int) -> bool:
    """Return whether each GPU can read the other's memory directly."""
    return torch.cuda.can_device_access_peer(first, second) and torch.cuda.can_device_access_peer(second, first)


def copy_speed(first: int, second: int) -> float:
    """Measure and return the bytes per second of a copy from GPU ``first`` to GPU ``second``."""
    source = torch.empty(_BYTES, dtype=torch.uint8, device=f"cuda:{first}")
    target = torch.empty(_BYTES, dtype=torch.uint8, device=f"cuda:{second}")

    def synchronize() -> None:
        torch.cuda.synchronize(first)
        torch.cuda.synchronize(second)

    return _BYTES / _seconds(lambda: target.copy_(source), synchronize)


def _seconds(work: Callable[[], object], synchronize: Callable[[], None]) -> float:
    """Return the mean seconds of one ``work``, after one call to warm up."""
    work()
    synchronize()
    start = time.perf_counter()
    for _ in range(_ROUNDS):
        work()
    synchronize()
    return (time.perf_counter() - start) / _ROUNDS
