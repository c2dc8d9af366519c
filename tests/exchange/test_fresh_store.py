"""A start does not see what an earlier start left in the launcher's store."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from torch.distributed import HashStore, Store

from lib.errors import PeerLost
from lib.exchange.fresh_store import fresh_store


def start(store: Store, world_size: int, late: int = 0) -> list[Store]:
    """Return the store of each worker of one start; worker ``late`` starts after the others."""

    def join(rank: int) -> Store:
        time.sleep(0.1 * (rank == late))
        return fresh_store(store, rank, world_size, patience_s=10)

    with ThreadPoolExecutor(world_size) as pool:
        return list(pool.map(join, range(world_size)))


@pytest.mark.parametrize("late", [0, 1, 2])
def test_each_start_has_its_own_keys_that_its_workers_share(late: int) -> None:
    store = HashStore()
    for _ in range(3):
        parts = start(store, 3, late)
        assert not any(part.check(["address"]) for part in parts)
        parts[2].set("address", "here")
        assert [part.get("address") for part in parts] == [b"here"] * 3


def test_a_failed_start_does_not_disturb_later_ones() -> None:
    store = HashStore()
    with pytest.raises(PeerLost, match=r"workers 1, 2 did not start within 0\.05 s"):
        fresh_store(store, 0, 3, patience_s=0.05)
    with pytest.raises(PeerLost, match=r"worker 0 did not start within 0\.05 s"):
        fresh_store(store, 1, 3, patience_s=0.05)
    parts = start(store, 3)
    parts[0].set("address", "here")
    assert [part.get("address") for part in parts] == [b"here"] * 3


def test_a_single_worker_does_not_wait() -> None:
    part = fresh_store(HashStore(), 0, 1, patience_s=0)
    part.set("address", "here")
    assert part.get("address") == b"here"
