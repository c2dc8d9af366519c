"""Average replicas through ``torch.distributed``: NCCL among GPUs, gloo among CPUs, on any number of machines.

The processes find each other as PyTorch's launcher arranged it (RANK, WORLD_SIZE, MASTER_ADDR, ... in the
environment).
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from lib.errors import PeerLost
from lib.exchange.base import count_differing, refuse_differing
from lib.exchange.fresh_store import fresh_store

# Between looks whether the others have come, in seconds: often at first, as they mostly come soon.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5e-5, 2e-3


class Collective:
    """``Exchange`` among all processes of ``torch.distributed``'s default group, which it makes."""

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
        """``on_wait`` is called while we wait for others."""
        self.stopping = self.stop_requested = False
        self.spent_s = 0.0
        self._on_wait = on_wait
        self._rank, self._world_size, self._device, self._patience_s = rank, world_size, device, patience_s
        timeout = timedelta(seconds=patience_s)
        launchers, _, _ = next(rendezvous("env://", rank, world_size, timeout=timeout))
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=fresh_store(launchers, rank, world_size, patience_s),
            rank=rank,
            world_size=world_size,
            timeout=timeout,
            device_id=device if device.type == "cuda" else None,
        )

    def allocate(self, numel: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(numel, dtype=dtype, device=self._device)

    def all_reduce_mean(self, *segments: Tensor) -> None:
        began = time.perf_counter()
        for segment in segments:
            self._sum(segment)
            # The library gives all processes the same bits of the sum, so they have the same of the mean.
            segment.div_(self._world_size)
        self.spent_s += time.perf_counter() - began

    def all_reduce_mean_among(self, groups: Sequence[Sequence[int]]) -> Callable[[Tensor], None]:
        """A function that makes a tensor its mean over the processes of that one of ``groups`` (ranks) which this
        process is in. All processes call this with the same groups; each is in one of them.
        """
        timeout = timedelta(seconds=self._patience_s)
        made = [dist.new_group(list(ranks), timeout=timeout) for ranks in groups]
        own, count = next((made[i], len(ranks)) for i, ranks in enumerate(groups) if self._rank in ranks)

        def average(tensor: Tensor) -> None:
            self._sum(tensor, own)
            tensor.div_(count)

        return average

    def broadcast(self, segment: Tensor) -> None:
        self._finish(lambda: dist.broadcast(segment, src=0, async_op=True))

    def sync_stop(self) -> None:
        stop_requested = torch.tensor(float(self.stop_requested), device=self._device)
        self._finish(lambda: dist.all_reduce(stop_requested, async_op=True))
        self.stopping = bool(stop_requested > 0)

    def synchronize(self) -> None:
        pass

    def all_gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        mine = torch.tensor([*values, self.stop_requested], dtype=torch.float64, device=self._device)
        everyone = [torch.empty_like(mine) for _ in range(self._world_size)]
        self._finish(lambda: dist.all_gather(everyone, mine, async_op=True))
        rows = [row.tolist() for row in everyone]
        self.stopping = any(row[-1] for row in rows)
        return [tuple(row[:-1]) for row in rows]

    def verify(self, segment: Tensor) -> None:
        first = segment.clone()
        self._finish(lambda: dist.broadcast(first, src=0, async_op=True))
        refuse_differing(self.all_gather([count_differing(segment, first)]), segment.numel())

    def request_stop(self) -> None:
        self.stop_requested = True

    def close(self) -> None:
        self._finish(lambda: dist.barrier(async_op=True))
        dist.destroy_process_group()

    def _sum(self, tensor: Tensor, group: dist.ProcessGroup | None = None) -> None:
        """``tensor`` becomes its sum over ``group``; NCCL does it in the order of the stream, nobody waits."""
        if self._device.type == "cuda":
            with _lost_peers_named():
                dist.all_reduce(tensor, group=group)
        else:
            self._finish(lambda: dist.all_reduce(tensor, group=group, async_op=True))

    def _finish(self, begin: Callable[[], dist.Work | None]) -> None:
        """Begin what all processes do together and wait for its end, with signs of life: others may be long in
        coming, as while the first of us writes a checkpoint to a slow disk.
        """
        with _lost_peers_named():
            work = begin()
            assert work is not None  # we are in the group
            pause_s = _FIRST_PAUSE_S
            while not work.is_completed():
                self._on_wait("waiting for another worker in an exchange")
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            work.wait()


@contextlib.contextmanager
def _lost_peers_named() -> Iterator[None]:
    """torch says no more than that a connection broke: the cause is another process's, which will be reported."""
    try:
        yield
    except RuntimeError as error:
        raise PeerLost(f"another worker was lost during an exchange: {error}") from error
