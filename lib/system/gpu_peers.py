"""What two GPUs of one machine can do for each other."""

import time
from collections.abc import Callable

import torch

_BYTES = 256 << 20
_ROUNDS = 5


def can_access(first: int, second: int) -> bool:
    """Whether either GPU can read the other's memory directly."""
    return torch.cuda.can_device_access_peer(first, second) and torch.cuda.can_device_access_peer(second, first)


def copy_speed(first: int, second: int) -> float:
    """Bytes a second from one GPU's memory to the other's, measured."""
    source = torch.empty(_BYTES, dtype=torch.uint8, device=f"cuda:{first}")
    target = torch.empty(_BYTES, dtype=torch.uint8, device=f"cuda:{second}")

    def wait() -> None:
        torch.cuda.synchronize(first)
        torch.cuda.synchronize(second)

    return _BYTES / _seconds(lambda: target.copy_(source), wait)


def _seconds(work: Callable[[], object], wait: Callable[[], None]) -> float:
    """Time of one ``work``, the first one, which warms up, left out."""
    work()
    wait()
    began = time.perf_counter()
    for _ in range(_ROUNDS):
        work()
    wait()
    return (time.perf_counter() - began) / _ROUNDS
