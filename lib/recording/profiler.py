"""Trace some iterations, for https://ui.perfetto.dev or chrome://tracing."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

# The first iterations allocate memory and choose kernels. They are not representative.
_WARM_UP = 3


class Tracer:
    """Traces ``count`` iterations, after the first few, into ``path``. Then it does nothing more."""

    def __init__(self, path: Path, count: int, device: torch.device, info: Callable[[str], None]) -> None:
        """``info`` is called with one line of text when the trace is written."""
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
        self._path, self._info, self._left = path, info, _WARM_UP + count
        self._profile = profile(
            activities=activities, schedule=schedule(wait=_WARM_UP - 1, warmup=1, active=count, repeat=1)
        )
        self._profile.start()

    def step(self) -> None:
        """Count one more iteration of training."""
        if self._left == 0:
            return
        self._left -= 1
        self._profile.step()
        if self._left == 0:
            self._profile.stop()
            self._profile.export_chrome_trace(str(self._path))
            self._info(f"traced to {self._path}; open it in https://ui.perfetto.dev")
