"""Average replicas by reading memory within a machine, and through ``torch.distributed`` between machines.

The stretch is cut into one share for each worker of a machine. A worker averages its share over its machine's replicas,
then over the machines, with the workers that have the same share there; then all of a machine collect the finished
shares. So each number crosses the network once each way a machine, not once a worker. A share is the same bits on all
machines, as the library gives all processes of an all-reduce the same ones, and is copied from there: all replicas hold
the same bits.
"""

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lib.errors import ConfigError, ProtocolError
from lib.exchange.collective import Collective
from lib.exchange.peer import Peer
from lib.ipc.channel import Channel

# Bytes in which a folder's name is told.
_NAME = 256


@dataclass(frozen=True, kw_only=True)
class Neighbors:
    """Who trains on this machine, and where they meet."""

    ranks: tuple[int, ...]
    """of the whole run, by local rank"""
    alike: tuple[tuple[int, ...], ...]
    """for each local rank, the ranks of the whole run that have it, by machine"""
    folder: Path
    """of mode 0700, for their sockets: that of the first of them"""


def find_neighbors(everyone: Collective, machine: int, local_rank: int, folder: Path) -> Neighbors:
    """``machine`` and ``local_rank`` are as the launcher numbers them; ``folder`` is private to this worker's run.

    Called by all workers. Raises ConfigError where machines have different numbers of workers: then the mean of their
    means would not be the mean.
    """
    name = os.fsencode(folder).ljust(_NAME, b"\0")
    if len(name) > _NAME:
        raise ConfigError(f"the name of the temporary folder, {folder}, is longer than {_NAME} bytes; set TMPDIR")
    rows = everyone.all_gather([machine, local_rank, *name])
    machines: dict[int, dict[int, int]] = {}
    for rank, row in enumerate(rows):
        machines.setdefault(int(row[0]), {})[int(row[1])] = rank
    counts = {len(ranks) for ranks in machines.values()}
    if len(counts) > 1:
        raise ConfigError(
            f"exchange.method hierarchical needs as many workers on each machine, here they are {sorted(counts)}; "
            "start as many, or use collective"
        )
    by_machine = [[ranks[local] for local in sorted(ranks)] for _, ranks in sorted(machines.items())]
    own = tuple(machines[machine][local] for local in sorted(machines[machine]))
    theirs = Path(os.fsdecode(bytes(map(int, rows[own[0]][2:])).rstrip(b"\0")))
    _refuse_open(theirs)
    return Neighbors(ranks=own, alike=tuple(zip(*by_machine, strict=True)), folder=theirs)


def _refuse_open(folder: Path) -> None:
    """Raises ProtocolError unless only this user can have put sockets into ``folder``."""
    try:
        there = folder.lstat()
    except OSError as error:
        raise ProtocolError(f"the folder of this machine's first worker cannot be read: {error}") from None
    if not stat.S_ISDIR(there.st_mode) or there.st_uid != os.getuid() or stat.S_IMODE(there.st_mode) != 0o700:
        raise ProtocolError(f"{folder} is not a folder of mode 0700 of this user; nothing in it can be trusted")


class Hierarchical:
    """``Exchange`` of ``everyone``, whose neighbors on this machine are reached by ``channels``, by local rank."""

    capturable = False
    lag = 0

    def __init__(
        self,
        everyone: Collective,
        neighbors: Neighbors,
        local_rank: int,
        channels: Mapping[int, Channel],
        device: torch.device,
    ) -> None:
        self._everyone = everyone
        self._within = _Within(local_rank, channels, device, everyone.all_reduce_mean_among(neighbors.alike))

    @property
    def stopping(self) -> bool:
        """As all machines last agreed: what neighbors tell each other in between is not known everywhere."""
        return self._everyone.stopping

    @property
    def stop_requested(self) -> bool:
        return self._everyone.stop_requested

    @property
    def spent_s(self) -> float:
        return self._within.spent_s

    def allocate(self, numel: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return self._within.allocate(numel, dtype)

    def broadcast(self, segment: Tensor) -> None:
        self._everyone.broadcast(segment)

    def all_reduce_mean(self, *segments: Tensor) -> None:
        self._within.all_reduce_mean(*segments)

    def sync_stop(self) -> None:
        self._everyone.sync_stop()

    def synchronize(self) -> None:
        pass

    def all_gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        return self._everyone.all_gather(values)

    def verify(self, segment: Tensor) -> None:
        self._everyone.verify(segment)

    def request_stop(self) -> None:
        self._everyone.request_stop()

    def close(self) -> None:
        self._within.close()
        self._everyone.close()


class _Within(Peer):
    """The exchange of a machine; ``between`` makes a share the mean over the machines."""

    def __init__(
        self, rank: int, channels: Mapping[int, Channel], device: torch.device, between: Callable[[Tensor], None]
    ) -> None:
        super().__init__(rank, channels, device)
        self._between = between

    def _average_share(self, replicas: list[Tensor]) -> None:
        if len(replicas) > 1:
            super()._average_share(replicas)
        if len(replicas[self._rank]):
            self._between(replicas[self._rank])
