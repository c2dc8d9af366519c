"""A piece of a device's work that is launched again and again: on a GPU, one CUDA graph."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

_WARM_UPS = 3


class Graph:
    """Captures ``work`` and repeats it. On a CPU, which has no graphs, it calls ``work`` again.

    ``work`` reads and writes the same tensors each time, and its random numbers follow the device's default generator.
    ``warm_up`` is ``work`` without lasting effects: it runs a few times before the capture, so that libraries choose
    and compile their kernels. ``stream`` is the stream to capture on, ``pool`` the memory pool of a
    graph that never runs at the same time.
    """

    def __init__(
        self,
        work: Callable[[], None],
        warm_up: Callable[[], None],
        device: torch.device,
        *,
        stream: torch.cuda.Stream | None = None,
        pool: Any = None,
    ) -> None:
        self.replay = work
        self.pool: Any = None
        if device.type != "cuda":
            return
        stream = stream or torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                warm_up()
        torch.cuda.current_stream(device).wait_stream(stream)
        # Matrix products use a scratch buffer that torch keeps for each stream. The graph must own the one it uses:
        # others free the stream's, as torch.compile's mode reduce-overhead does.
        torch._C._cuda_clearCublasWorkspaces()
        graph = torch.cuda.CUDAGraph()
        # The thread-local mode lets uploads from the loader continue on this thread's other streams.
        with (
            _no_garbage_collection(),
            torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"),
        ):
            work()
        torch._C._cuda_clearCublasWorkspaces()
        self.replay, self.pool = graph.replay, graph.pool()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep cyclic garbage meanwhile: freeing an older graph would make CUDA give up the capture."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
