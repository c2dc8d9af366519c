"""The real peer exchange over real channels; each replica has a thread."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from lib.errors import PeerLost, ProtocolError, ReplicasDiffer
from lib.exchange.base import sums
from lib.exchange.peer import Peer
from lib.ipc.channel import Channel
from lib.system import cache_blocks
from tests.support.replicas import CPU, run_replicas


@pytest.mark.parametrize("world_size", [2, 3, 4, 8])
@pytest.mark.parametrize("numel", [1, 1001, 3000])
def test_all_replicas_hold_the_mean_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world_size: int, numel: int
) -> None:
    monkeypatch.setattr(cache_blocks, "_BLOCK", 200)  # averaged in several parts

    def body(peer: Peer, rank: int) -> tuple[np.ndarray, np.ndarray]:
        row = peer.allocate(numel)
        noise = torch.randn(numel, generator=torch.Generator().manual_seed(rank))
        for _ in range(8):
            # The next update follows the exchange at once, so a reader that is still busy would see it.
            row += noise
            before = row.numpy().copy()
            peer.all_reduce_mean(row)
        after = row.numpy().copy()
        peer.verify(row)
        return before, after

    results = run_replicas(world_size, body, tmp_path)
    mean = np.mean([before for before, _ in results], axis=0, dtype=np.float64)
    for _, after in results:
        assert after.tobytes() == results[0][1].tobytes()
        np.testing.assert_allclose(after, mean, rtol=1e-5, atol=1e-6)


class SlowPeer(Peer):
    """Waits after one barrier, while the other replicas continue at once."""

    slow_point = ""

    def _barrier(self, point: str) -> None:
        super()._barrier(point)
        if point == self.slow_point:
            time.sleep(0.03)


@pytest.mark.parametrize("point", ["updated", "averaged", "collected"])
@pytest.mark.parametrize("slow_rank", [0, 1])
def test_no_replica_reads_memory_that_another_already_overwrites(tmp_path: Path, point: str, slow_rank: int) -> None:
    def body(peer: Peer, rank: int) -> list[np.ndarray]:
        peer.__class__ = SlowPeer
        cast(SlowPeer, peer).slow_point = point if rank == slow_rank else ""
        row = peer.allocate(512)  # a chunk for each replica
        seen = []
        for _ in range(4):
            row += rank + 1.0
            peer.all_reduce_mean(row)
            seen.append(row.numpy().copy())
        return seen

    for seen in run_replicas(2, body, tmp_path):
        for step, row in enumerate(seen, start=1):
            assert (row == 1.5 * step).all(), row


def test_metrics_are_summed_in_rank_order_on_every_replica(tmp_path: Path) -> None:
    values = [(0.1, 1e16), (0.2, 1.0), (0.3, -1e16)]
    gathered = run_replicas(3, lambda peer, rank: peer.all_gather(values[rank]), tmp_path)
    assert gathered == [values] * 3
    assert sums(gathered[0]) == [0.1 + 0.2 + 0.3, (1e16 + 1.0) - 1e16]


def test_all_replicas_stop_after_the_same_step(tmp_path: Path) -> None:
    """Whichever replica requests the stop, and whenever: none may wait for one that has stopped."""

    def body(peer: Peer, rank: int) -> int:
        row = peer.allocate(4)
        for step in range(100):
            if step == 7 and rank == 1:
                peer.request_stop()
            peer.all_reduce_mean(row)
            if peer.stopping:
                return step
        return -1

    assert run_replicas(3, body, tmp_path) == [7, 7, 7]


def test_a_replica_that_differs_is_found_and_named(tmp_path: Path) -> None:
    def body(peer: Peer, rank: int) -> str:
        row = peer.allocate(50)
        peer.all_reduce_mean(row)
        if rank == 1:
            row[3] += 1e-3
        with pytest.raises(ReplicasDiffer) as error:
            peer.verify(row)
        return str(error.value)

    for text in run_replicas(3, body, tmp_path):
        assert "replica 1 differs from replica 0 in 1 of 50 elements" in text


def test_replicas_of_different_size_are_refused(tmp_path: Path) -> None:
    def body(peer: Peer, rank: int) -> None:
        with pytest.raises(ProtocolError, match="replicas differ in size"):
            peer.allocate(10 + rank)

    run_replicas(2, body, tmp_path)


def test_a_replica_out_of_step_is_found(tmp_path: Path) -> None:
    channels = [
        Channel(tmp_path / "0-1", bind=rank == 0, peer=f"trainer {1 - rank}", patience_s=1) for rank in range(2)
    ]
    peers = [Peer(rank, {1 - rank: channels[rank]}, CPU) for rank in range(2)]
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda peer: peer.allocate(4), peers))
        averaging = pool.submit(peers[0].all_reduce_mean, rows[0])
        with pytest.raises(ProtocolError, match="out of step: this one .*gathered.*, trainer 0 sent .*updated"):
            peers[1].all_gather([1.0])
        with pytest.raises((ProtocolError, PeerLost)):
            averaging.result()
    for channel in channels:
        channel.close()
