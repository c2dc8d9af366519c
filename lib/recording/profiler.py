"""Trace some iterations, for https://ui.perfetto.dev or chrome://tracing."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

# The first iterations allocate memory and choose kernels. They are not representative.
_WARM_UP = 3


def start_profiler(path: Path, count: int, device: torch.device, info: Callable[[str], None]) -> profile:
    """Start to trace ``count`` iterations, after the first few. Call ``step()`` of the result after each iteration.

    The last one writes ``path`` and calls ``info`` with one line of text.
    """

    def write(profiler: profile) -> None:
        profiler.export_chrome_trace(str(path))
        info(f"traced to {path}; open it in https://ui.perfetto.dev")

    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    plan = schedule(wait=_WARM_UP - 1, warmup=1, active=count, repeat=1)
    profiler = profile(activities=activities, schedule=plan, on_trace_ready=write)
    profiler.start()
    return profiler
