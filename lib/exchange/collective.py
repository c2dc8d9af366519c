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


class Collective:
    """``Exchange`` among all processes of ``torch.distributed``'s default group, which it makes."""

    in_graphs = False
    lag = 0

    def __init__(self, rank: int, world_size: int, device: torch.device, patience_s: float) -> None:
        self.leaving = self.asked = False
        self.spent_s = 0.0
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

    def average(self, *stretches: Tensor) -> None:
        began = time.perf_counter()
        with _lost_peers_named():
            for stretch in stretches:
                dist.all_reduce(stretch)
                # The library gives all processes the same bits of the sum, so they have the same of the mean.
                stretch.div_(self._world_size)
        self.spent_s += time.perf_counter() - began

    def average_among(self, groups: Sequence[Sequence[int]]) -> Callable[[Tensor], None]:
        """A function that makes a tensor its mean over the processes of that one of ``groups`` (ranks) which this
        process is in. All processes call this with the same groups; each is in one of them.
        """
        timeout = timedelta(seconds=self._patience_s)
        made = [dist.new_group(list(ranks), timeout=timeout) for ranks in groups]
        own, count = next((made[i], len(ranks)) for i, ranks in enumerate(groups) if self._rank in ranks)

        def average(tensor: Tensor) -> None:
            with _lost_peers_named():
                dist.all_reduce(tensor, group=own)
                tensor.div_(count)

        return average

    def copy_first(self, stretch: Tensor) -> None:
        with _lost_peers_named():
            dist.broadcast(stretch, src=0)

    def agree(self) -> None:
        asked = torch.tensor(float(self.asked), device=self._device)
        with _lost_peers_named():
            dist.all_reduce(asked)
            self.leaving = bool(asked > 0)

    def settle(self) -> None:
        pass

    def gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        mine = torch.tensor([*values, self.asked], dtype=torch.float64, device=self._device)
        everyone = [torch.empty_like(mine) for _ in range(self._world_size)]
        with _lost_peers_named():
            dist.all_gather(everyone, mine)
        rows = [row.tolist() for row in everyone]
        self.leaving = any(row[-1] for row in rows)
        return [tuple(row[:-1]) for row in rows]

    def verify(self, stretch: Tensor) -> None:
        first = stretch.clone()
        with _lost_peers_named():
            dist.broadcast(first, src=0)
        refuse_differing(self.gather([count_differing(stretch, first)]), stretch.numel())

    def leave(self) -> None:
        self.asked = True

    def close(self) -> None:
        with _lost_peers_named():
            dist.barrier()
        dist.destroy_process_group()


@contextlib.contextmanager
def _lost_peers_named() -> Iterator[None]:
    """torch says no more than that a connection broke: the cause is another process's, which will be reported."""
    try:
        yield
    except RuntimeError as error:
        raise PeerLost(f"another worker was lost during an exchange: {error}") from error
