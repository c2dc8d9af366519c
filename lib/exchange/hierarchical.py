"""Average replicas by reading memory within a machine, and through ``torch.distributed`` between machines.

Each segment is divided into one chunk per worker of a machine. A worker averages its chunk over the replicas of its
machine, then over the machines, together with the workers that have the same chunk there. Then the workers of a machine
copy the finished chunks from each other. So each number crosses the network once in each direction per machine, not
once per worker. An all-reduce gives all of its processes the same bits, and chunks are copied from there, so all
replicas hold the same bits.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import ConfigError, ProtocolError
from .activations import CollectiveActivations
from .collective import Collective
from .peer import Peer

# The bytes in which a worker sends the path of its folder.
_PATH_BYTES = 256


@dataclass(frozen=True, kw_only=True)
class Neighbors:
    """The workers of this machine, and the folder of their sockets."""

    ranks: tuple[int, ...]
    """global ranks, by local rank"""
    across: tuple[tuple[int, ...], ...]
    """for each local rank, the global ranks that have it, by machine"""
    folder: Path
    """private folder (mode 0700) of the machine's first worker"""


def find_neighbors(collective: Collective, machine: int, local_rank: int, folder: Path) -> Neighbors:
    """Find the workers of this machine. All workers call this.

    ``machine`` and ``local_rank`` are torchrun's numbers, ``folder`` is private to this worker's run. Raises
    ConfigError if machines have different numbers of workers: the mean of their means would not be the mean.
    """
    path = os.fsencode(folder).ljust(_PATH_BYTES, b"\0")
    if len(path) > _PATH_BYTES:
        raise ConfigError(f"the path of the temporary folder {folder} exceeds {_PATH_BYTES} bytes; set TMPDIR")
    gathered = collective.all_gather([machine, local_rank, *path])
    machines: dict[int, dict[int, int]] = {}
    for rank, (number, local, *_) in enumerate(gathered):
        machines.setdefault(int(number), {})[int(local)] = rank
    counts = {len(ranks) for ranks in machines.values()}
    if len(counts) > 1:
        raise ConfigError(
            "exchange.method hierarchical needs the same number of workers on each machine, but torchrun started "
            f"{' and '.join(map(str, sorted(counts)))}; use the same --nproc-per-node everywhere, or "
            "exchange.method collective"
        )
    by_machine = [[ranks[local] for local in sorted(ranks)] for _, ranks in sorted(machines.items())]
    ranks = tuple(machines[machine][local] for local in sorted(machines[machine]))
    first = Path(os.fsdecode(bytes(map(int, gathered[ranks[0]][2:])).rstrip(b"\0")))
    _check_private(first)
    return Neighbors(ranks=ranks, across=tuple(zip(*by_machine, strict=True)), folder=first)


def _check_private(folder: Path) -> None:
    """Raise ProtocolError unless only this user can create sockets in ``folder``."""
    try:
        status = folder.lstat()
    except OSError as error:
        raise ProtocolError(f"the folder of this machine's first worker cannot be read: {error}") from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) != 0o700:
        raise ProtocolError(f"{folder} is not a folder of this user with mode 0700, so its sockets are not trusted")


class Hierarchical:
    """``Exchange`` of all workers of ``collective``; those of one machine average by ``machine``.

    ``machine`` averages its chunks over the machines by ``collective.make_group_mean(neighbors.across)``.
    """

    def __init__(self, collective: Collective, machine: Peer) -> None:
        self._collective, self._machine = collective, machine
        self.capturable, self.lag = machine.capturable, collective.lag
        self.rank, self.world_size = collective.rank, collective.world_size

    @property
    def stopping(self) -> bool:
        # Not that of the neighbors, which is not known on the other machines.
        return self._collective.stopping

    @property
    def stop_requested(self) -> bool:
        return self._collective.stop_requested

    @property
    def exchanged_s(self) -> float:
        return self._machine.exchanged_s

    def allocate(self, numel: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return self._machine.allocate(numel, dtype)

    def open_activations(self, n_bytes: int) -> CollectiveActivations:
        return self._collective.open_activations(n_bytes)

    def broadcast(self, segment: Tensor) -> None:
        self._collective.broadcast(segment)

    def all_reduce_mean(self, *segments: Tensor) -> None:
        self._machine.all_reduce_mean(*segments)

    def gather(self, segment: Tensor) -> list[Tensor]:
        return []

    def sync_stop(self) -> None:
        self._machine.sync_stop()
        self._collective.sync_stop()

    def synchronize(self) -> None:
        self._machine.synchronize()

    def all_gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        return self._collective.all_gather(values)

    def verify(self, segment: Tensor) -> None:
        self._collective.verify(segment)

    def request_stop(self) -> None:
        self._collective.request_stop()

    def close(self) -> None:
        self._machine.close()
        self._collective.close()
