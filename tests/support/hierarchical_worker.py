"""Run one of four workers on two machines, for test_hierarchical.py.

Arguments: FOLDER RANK, and the environment of torch.distributed.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from lib.errors import ReplicasDiffer
from lib.exchange.collective import Collective
from lib.exchange.hierarchical import Hierarchical, find_neighbors
from lib.exchange.peer import Peer
from lib.ipc.channel import Channel

WORKERS, NUMEL, CPU = 4, 1001, torch.device("cpu")


def main(out: Path, rank: int) -> None:
    torch.set_num_threads(1)
    waits: list[str] = []
    machine, local_rank = rank % 2, rank // 2  # alternating, because a launcher may number workers in any order
    collective = Collective(rank, WORKERS, CPU, patience_s=30, on_wait=waits.append)
    with tempfile.TemporaryDirectory() as private:
        neighbors = find_neighbors(collective, machine, local_rank, Path(private))
        assert neighbors.ranks == (machine, machine + 2)
        assert neighbors.across == ((0, 1), (2, 3))
        other = Channel(
            neighbors.folder / "0-1", bind=local_rank == 0, peer=f"neighbor {1 - local_rank}", patience_s=30
        )
        across = collective.make_group_mean(neighbors.across)
        exchange = Hierarchical(collective, Peer(local_rank, {1 - local_rank: other}, CPU, across))
        row, small = exchange.allocate(NUMEL), exchange.allocate(3)
        noise = torch.randn(NUMEL, generator=torch.Generator().manual_seed(rank))
        row.copy_(noise)
        exchange.broadcast(row)
        first = row.numpy().copy()
        for _ in range(4):
            row += noise
            small += rank
            before = row.numpy().copy()
            exchange.all_reduce_mean(row, small)
        exchange.verify(row)
        after = row.numpy().copy()
        row[5] += rank == 3
        try:
            exchange.verify(row)
            found = ""
        except ReplicasDiffer as error:
            found = str(error)
        left = -1
        for step in range(5):
            if step == 2 and rank == 1:
                exchange.request_stop()
            exchange.all_reduce_mean(row)
            exchange.sync_stop()
            if exchange.stopping:
                left = step
                break
        waits.clear()
        time.sleep(0.3 * (rank == 2))  # like a worker that saves a checkpoint
        gathered = exchange.all_gather([float(rank)])
        np.savez(
            out / f"{rank}.npz", first=first, before=before, after=after, small=small.numpy(), found=found, left=left,
            gathered=gathered, waits=len(waits),
        )  # fmt: skip
        exchange.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
