"""Peer access and copy bandwidth between two GPUs of one machine."""

import torch
from torch.utils.benchmark import Timer

_BYTES = 256 << 20
_ROUNDS = 5


def can_access(first: int, second: int) -> bool:
    """Return whether each GPU can read the other's memory directly."""
    return torch.cuda.can_device_access_peer(first, second) and torch.cuda.can_device_access_peer(second, first)


def copy_speed(first: int, second: int) -> float:
    """Measure and return the bytes per second of a copy from GPU ``first`` to GPU ``second``."""
    source = torch.empty(_BYTES, dtype=torch.uint8, device=f"cuda:{first}")
    target = torch.empty_like(source, device=f"cuda:{second}")
    with torch.cuda.device(second):  # the timer waits for this GPU, which waits for the copies
        return _BYTES / Timer("target.copy_(source)", globals={"source": source, "target": target}).timeit(_ROUNDS).mean
