"""A loader and a feed in one process, with batch files that become unreadable."""

import errno
import os
import re
import threading
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from lib.config.schema import DataConfig, RunConfig
from lib.data import retry
from lib.data.augment.params import center_params
from lib.data.feed import Feed
from lib.data.order import WorkerOrder
from lib.data.packed.layout import Layout, layout
from lib.data.packed.manifest import read_manifest
from lib.data.packed.reader import HickleBatches
from lib.data.plan import BatchRequest
from lib.data.slots import create_slots
from lib.data.worker_count import AdaptiveCount
from lib.errors import DataError, PeerLost
from lib.ipc.channel import Channel
from lib.roles.loader import _finish, _PendingBatch, serve
from lib.runtime.process import Context, RunSheet
from lib.system.memory_copy import MemoryCopy

ORDER = WorkerOrder(file_counts=(16, 16, 16), seed=1, shuffle="none", batch_size=8, rank=0, world_size=1)
ASKS = [BatchRequest("train", 0, batch, center_params(8, img_size=32, crop=28)) for batch in range(6)]
Start = Callable[..., Feed]


@pytest.fixture
def at(data_set: Path) -> Layout:
    return layout(data_set)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the warnings and heartbeats of a loader, with short pauses between its attempts."""
    monkeypatch.setattr(retry, "_FIRST_S", 0.02)
    return []


@pytest.fixture
def start(tmp_path: Path, at: Layout, warnings: list[str]) -> Iterator[Start]:
    """Return a function that starts a loader in a thread and returns its feed."""
    threads: list[threading.Thread] = []

    def make(patience_s: float = 60, **data: Any) -> Feed:
        source = HickleBatches(at, read_manifest(at), "train", readers=2, verify=data.get("verify", False))
        theirs, ours = (
            Channel(tmp_path / f"s{len(threads)}", bind=bind, peer="the other", patience_s=20) for bind in (True, False)
        )
        sampler: Any = SimpleNamespace(indices=lambda phase, epoch, batch, rollbacks: ORDER.indices(epoch, batch))
        context: Any = SimpleNamespace(
            config=SimpleNamespace(data=DataConfig(**data), run=RunConfig(patience_s=patience_s)),
            heartbeat=lambda doing, patience_s=None: warnings.append(doing),
            warn=warnings.append,
        )

        def load() -> None:
            serve(context, theirs, {"train": source}, sampler, AdaptiveCount(2, 2, fixed=True))
            source.close()
            theirs.close()

        threads.append(threading.Thread(target=load))
        threads[-1].start()
        slots = create_slots(torch.device("cpu"), slots=2, batch_size=8, slot_shape=(32, 32, 3))
        return Feed(ours, iter(ASKS), slots)

    yield make
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def flip_last_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_batches_read_before_an_unreadable_one_are_delivered(at: Layout, start: Start) -> None:
    flip_last_byte(at.batch_file("train", 16, 1))  # batches 2 and 3
    feed = start(verify=True)
    for _ in range(2):
        assert not feed.fails()
        next(feed)
    assert feed.fails()
    assert feed.fails()  # a second look does not wait
    with pytest.raises(DataError, match=r"00001.hkl is damaged \(its checksum is not the manifest's\); delete it and"):
        next(feed)
    feed.close()


def test_only_verify_finds_a_flipped_pixel(at: Layout, start: Start) -> None:
    flip_last_byte(at.batch_file("train", 16, 1))
    feed = start()
    assert len(list(feed)) == 6
    feed.close()


def test_a_file_that_comes_back_is_waited_for(at: Layout, start: Start, warnings: list[str]) -> None:
    path = at.batch_file("train", 16, 1)
    away = path.rename(path.with_suffix(".away"))
    feed = start(on_error="wait")
    next(feed)
    next(feed)
    threading.Timer(0.3, away.rename, [path]).start()
    images = next(feed).images_BHWC.clone()
    source = HickleBatches(at, read_manifest(at), "train", readers=1)
    expected = np.empty((8, 32, 32, 3), np.uint8)
    source.read(ORDER.indices(0, 2), expected)
    source.close()
    assert np.array_equal(images.numpy(), expected)
    assert len(list(feed)) == 3
    feed.close()
    missing = f"{path} is missing; run preprocessing/generate_data.sh again"
    assert warnings.count(f"{missing} [trying again for 60 s]") == 1
    assert f"waiting, as {missing}" in warnings
    assert sum(text.startswith("it can be read again, after 0.") for text in warnings) == 1


@pytest.mark.parametrize("on_error", ["wait", "stop"])
def test_a_read_error_in_the_middle_of_a_file_is_waited_for(
    at: Layout, start: Start, warnings: list[str], monkeypatch: pytest.MonkeyPatch, on_error: str
) -> None:
    """Reading the rows of the second batch fails three times with EIO."""
    real, errors = os.preadv, [OSError(errno.EIO, os.strerror(errno.EIO))] * 3
    place = read_manifest(at).train.files[0].offset + 8 * 32 * 32 * 3

    def preadv(descriptor: int, buffers: list[memoryview], position: int) -> int:
        if position == place and errors:
            raise errors.pop()
        return real(descriptor, buffers, position)

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(MemoryCopy, "__call__", lambda *_: False)  # nothing comes from such a disk
    feed = start(on_error=on_error)
    error = r"00000\.hkl cannot be read: Input/output error; check its disk, or delete it and run"
    if on_error == "wait":
        assert len(list(feed)) == 6
        assert errors == []
        assert any(re.search(rf"{error} .*\[trying again for 60 s\]", text) for text in warnings)
    else:
        next(feed)
        with pytest.raises(DataError, match=error):
            next(feed)
    feed.close()


def test_a_loader_that_waits_for_a_disk_notices_that_the_supervisor_is_gone(
    tmp_path: Path, warnings: list[str]
) -> None:
    config = SimpleNamespace(
        data=DataConfig(on_error="wait"), run=RunConfig(weights_dir=tmp_path / "none", patience_s=2)
    )
    sheet = SimpleNamespace(config=config, supervisor_pid=os.getppid())

    def heartbeat(doing: str, patience_s: float | None = None) -> None:
        warnings.append(doing)
        if len(warnings) == 3:
            sheet.supervisor_pid = 0

    def away() -> None:
        raise DataError("00001.hkl is missing")

    client: Any = SimpleNamespace(heartbeat=heartbeat)
    context = Context("loader 0", 0, tmp_path, cast(RunSheet, sheet), client)
    with pytest.raises(PeerLost, match="the supervisor has ended"):
        _finish(context, _PendingBatch(0, 0, 8, "reading", repeat(away)))
    assert warnings == ["reading", *2 * ["waiting, as 00001.hkl is missing"]]


def test_a_file_that_stays_away_is_an_error_after_patience_s(at: Layout, start: Start, warnings: list[str]) -> None:
    at.batch_file("train", 16, 1).unlink()
    feed = start(on_error="wait", patience_s=0.3)
    next(feed)
    next(feed)
    with pytest.raises(DataError, match=r"00001.hkl is missing"):
        next(feed)
    assert any("[trying again for 0.3 s]" in text for text in warnings)
    feed.close()


@pytest.mark.parametrize("taken", [0, 1, 4, 6])
def test_a_restarted_feed_delivers_only_the_new_plan(at: Layout, start: Start, taken: int) -> None:
    feed = start()
    images = [batch.images_BHWC.numpy().copy() for batch in feed]
    feed.close()
    feed = start()
    for _ in range(taken):
        next(feed)
    feed.restart(iter(ASKS[2:5]))
    again = [batch.images_BHWC.numpy().copy() for batch in feed]
    assert np.array_equal(again, images[2:5])
    feed.close()


def test_a_feed_can_be_closed_before_it_receives_the_error(at: Layout, start: Start) -> None:
    at.batch_file("train", 16, 0).unlink()
    feed = start()
    feed.close()
    assert not feed.failure
