"""A trace of some iterations, for https://ui.perfetto.dev or chrome://tracing."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch.profiler import ProfilerActivity, profile, schedule

# The first iterations allocate memory and choose kernels: they are not what one wants to see.
_WARM_UP = 3


class Profiler(Protocol):
    """Is told of every iteration."""

    def step(self) -> None:
        """One more training iteration is done."""


class NoProfiler:
    """Traces nothing."""

    def step(self) -> None: ...


class Tracer:
    """Traces ``count`` iterations after the first few into ``path`` and then stays out of the way."""

    def __init__(self, path: Path, count: int, device: torch.device, done: Callable[[str], None]) -> None:
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
        self._path, self._done, self._left = path, done, _WARM_UP + count
        self._profile = profile(
            activities=activities, schedule=schedule(wait=_WARM_UP - 1, warmup=1, active=count, repeat=1)
        )
        self._profile.start()

    def step(self) -> None:
        if self._left == 0:
            return
        self._left -= 1
        self._profile.step()
        if self._left == 0:
            self._profile.stop()
            self._profile.export_chrome_trace(str(self._path))
            self._done(f"traced to {self._path}; open it in https://ui.perfetto.dev")
