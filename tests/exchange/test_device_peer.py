"""The exchange on GPUs, with barriers of hosts in place of those of devices; each replica has a thread."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from lib.errors import PeerLost
from lib.exchange import device_peer
from lib.kernels.mean import mean as mean_of_replicas
from tests.support.device_peer import open_device_peer

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled here; tests/gpu has the runs")


@pytest.mark.parametrize("world_size", [2, 3, 4])
@pytest.mark.parametrize("small", [0, 1 << 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_all_replicas_hold_the_mean_of_each_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world_size: int, small: int, dtype: torch.dtype
) -> None:
    """In chunks, or each replica for itself. Memory outside the segments does not change."""
    one_at_a_time = threading.Lock()  # Triton's interpreter is not thread-safe

    def mean(replicas: list[Tensor], out: Tensor) -> None:
        with one_at_a_time:
            mean_of_replicas(replicas, out)

    monkeypatch.setattr(device_peer, "mean", mean)
    monkeypatch.setattr(device_peer, "_SMALL", small)

    def before(rank: int) -> Tensor:
        return torch.randn(3000, generator=torch.Generator().manual_seed(rank)).to(dtype)

    def body(rank: int) -> Tensor:
        peer = open_device_peer(tmp_path, rank, world_size)
        row = peer.allocate(3000, dtype)
        row.copy_(before(rank))
        peer.all_reduce_mean(row[:1000], row[1500:])
        result = row.clone()
        del row
        peer.close()
        return result

    with ThreadPoolExecutor(world_size) as pool:
        results = list(pool.map(body, range(world_size)))
    expected = torch.stack([before(rank).float() for rank in range(world_size)]).mean(0)
    for rank, result in enumerate(results):
        assert torch.equal(result[1000:1500], before(rank)[1000:1500])
        for segment in (slice(0, 1000), slice(1500, 3000)):
            assert torch.equal(result[segment], results[0][segment])
            bound = 1e-6 if dtype == torch.float32 else 1e-2
            torch.testing.assert_close(result[segment].float(), expected[segment], rtol=bound, atol=bound)


def test_at_each_turn_replicas_read_from_different_peers(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        peers = list(pool.map(lambda rank: open_device_peer(tmp_path, rank, 4), range(4)))
        for turn in range(3):
            assert sorted(peer._others()[turn] for peer in peers) == [0, 1, 2, 3]
        list(pool.map(lambda peer: peer.close(), peers))


def test_a_peer_missing_from_a_device_barrier_is_named(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        peers = list(pool.map(lambda rank: open_device_peer(tmp_path, rank, 2), range(2)))
        late: Any = SimpleNamespace(read=lambda: torch.tensor([0, 1 + 1, 0]))
        peers[0]._reader = late
        with pytest.raises(PeerLost, match="trainer 1 did not reach a barrier within 20 s"):
            peers[0].sync_stop()
        list(pool.map(lambda peer: peer.close(), peers))
