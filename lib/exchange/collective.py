"""Average replicas through ``torch.distributed``: gloo among CPUs, NCCL among GPUs, on any number of machines.

``lib.exchange.device_collective`` is how GPUs use it.

torchrun sets the environment (RANK, WORLD_SIZE, MASTER_ADDR, ...) through which the processes connect.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from ..errors import ConfigError, PeerLost
from .activations import CollectiveActivations
from .base import count_differing, raise_if_differing
from .fresh_store import fresh_store

# The pause between two polls of a collective, in seconds. It starts short because most collectives end soon.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5e-5, 2e-3


class Collective:
    """``Exchange`` among all processes of the default group of ``torch.distributed``, which it initializes."""

    capturable = False
    lag = 0

    def __init__(
        self,
        rank: int,
        world_size: int,
        device: torch.device,
        patience_s: float,
        on_wait: Callable[[str], None] = lambda doing: None,
    ) -> None:
        """``on_wait`` is called while this process waits for others."""
        self.stopping = self.stop_requested = False
        self.exchanged_s = 0.0
        self._on_wait = on_wait
        self.rank, self.world_size, self._device = rank, world_size, device
        self._timeout = timedelta(seconds=patience_s)
        if os.environ.get("MASTER_PORT") == "0":
            raise ConfigError(
                "torchrun tells its workers no port with --master-port 0; name a free one, or use "
                "--rdzv-backend c10d --rdzv-endpoint localhost:0"
            )
        store, _, _ = next(rendezvous("env://", rank, world_size, timeout=self._timeout))
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=fresh_store(store, rank, world_size, patience_s),
            rank=rank,
            world_size=world_size,
            timeout=self._timeout,
            device_id=device if device.type == "cuda" else None,
        )

    def allocate(self, numel: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(numel, dtype=dtype, device=self._device)

    def open_activations(self, n_bytes: int) -> CollectiveActivations:
        return CollectiveActivations(self.rank, self._gather_tensors, self._all_reduce_sum)

    def all_reduce_mean(self, *segments: Tensor) -> None:
        start = time.perf_counter()
        for segment in segments:
            self._all_reduce_sum(segment)
            # All processes get the same bits of the sum from the library, hence also of the mean.
            segment.div_(self.world_size)
        self.exchanged_s += time.perf_counter() - start

    def make_group_mean(self, groups: Sequence[Sequence[int]]) -> Callable[[Tensor], None]:
        """Return a function that replaces a tensor by its mean over this process's group.

        ``groups`` are disjoint lists of ranks that contain every process. All processes pass the same ones.
        """
        process_groups = [dist.new_group(list(ranks), timeout=self._timeout) for ranks in groups]
        own = next(i for i, ranks in enumerate(groups) if self.rank in ranks)

        def average(tensor: Tensor) -> None:
            if len(groups[own]) > 1 and len(tensor):
                self._all_reduce_sum(tensor, process_groups[own])
                tensor.div_(len(groups[own]))

        average(torch.zeros(1, device=self._device))  # connects the group: that cannot be captured in a CUDA graph
        return average

    def broadcast(self, segment: Tensor) -> None:
        self._wait_for(lambda: dist.broadcast(segment, src=0, async_op=True))

    def gather(self, segment: Tensor) -> list[Tensor]:
        return []

    def sync_stop(self) -> None:
        requests = torch.tensor(float(self.stop_requested), device=self._device)
        self._wait_for(lambda: dist.all_reduce(requests, async_op=True))
        self.stopping = bool(requests > 0)

    def synchronize(self) -> None:
        pass

    def all_gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        own = torch.tensor([*values, self.stop_requested], dtype=torch.float64, device=self._device)
        gathered = [tensor.tolist() for tensor in self._gather_tensors(own)]
        self.stopping = any(stop_requested for *_, stop_requested in gathered)
        return [tuple(values) for *values, _ in gathered]

    def verify(self, segment: Tensor) -> None:
        first = segment.clone()
        self._wait_for(lambda: dist.broadcast(first, src=0, async_op=True))
        raise_if_differing(self.all_gather([count_differing(segment, first)]), segment.numel())

    def request_stop(self) -> None:
        self.stop_requested = True

    def close(self) -> None:
        self._wait_for(lambda: dist.barrier(async_op=True))
        dist.destroy_process_group()

    def _gather_tensors(self, own: Tensor) -> list[Tensor]:
        """Return the tensor of every process, by rank. On a GPU the work is only enqueued in the current stream."""
        tensors = [torch.empty_like(own) for _ in range(self.world_size)]
        if self._device.type == "cuda":
            with raise_peer_lost():
                dist.all_gather(tensors, own)
        else:
            self._wait_for(lambda: dist.all_gather(tensors, own, async_op=True))
        return tensors

    def _all_reduce_sum(self, tensor: Tensor, group: dist.ProcessGroup | None = None) -> None:
        """Replace ``tensor`` by its sum over ``group``. On a GPU the work is only enqueued in the current stream."""
        if self._device.type == "cuda":
            with raise_peer_lost():
                dist.all_reduce(tensor, group=group)
        else:
            self._wait_for(lambda: dist.all_reduce(tensor, group=group, async_op=True))

    def _wait_for(self, start: Callable[[], dist.Work | None]) -> None:
        """Start a collective and wait for its end, with heartbeats.

        Another process may join late, for example while worker 0 writes a checkpoint to a slow disk.
        """
        with raise_peer_lost():
            work = start()
            assert work is not None  # None only for processes outside the group
            pause_s = _FIRST_PAUSE_S
            while not work.is_completed():
                self._on_wait("waiting for another worker in an exchange")
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            work.wait()


@contextlib.contextmanager
def raise_peer_lost() -> Iterator[None]:
    """Turn torch's error about a broken connection into PeerLost: the process that failed reports the cause."""
    try:
        yield
    except RuntimeError as error:
        raise PeerLost(f"another worker was lost during an exchange: {error}") from error
