"""Tests of saving checkpoints in the background."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from lib.checkpoints.async_saver import AsyncSaver
from lib.errors import CheckpointError


def test_progress_is_reported_only_while_the_disk_writes() -> None:
    """``finish`` reports once at the start and once for each piece on disk, and not while the disk stalls."""
    async_saver, next_piece = AsyncSaver(), Event()
    reports = 0

    def save(on_disk: Callable[[], None]) -> Path:
        for _ in range(3):
            assert next_piece.wait(30)
            next_piece.clear()
            on_disk()
        time.sleep(0.5)  # the disk stalls
        return Path("saved.pt")

    def on_progress() -> None:
        nonlocal reports
        reports += 1
        next_piece.set()

    async_saver.begin(save)
    assert async_saver.busy
    assert async_saver.finish(on_progress) == Path("saved.pt")
    assert reports == 4
    assert not async_saver.busy
    assert async_saver.finish(on_progress) is None


def test_a_failure_is_raised_once() -> None:
    async_saver = AsyncSaver()

    def save(_: Callable[[], None]) -> Path:
        raise CheckpointError("the disk is full")

    async_saver.begin(save)
    with pytest.raises(CheckpointError, match="^the disk is full$"):
        async_saver.finish()
    assert async_saver.finish() is None


def test_only_the_last_pending_save_is_done() -> None:
    async_saver, go = AsyncSaver(), Event()
    started: list[str] = []

    def saver(name: str) -> Callable[[Callable[[], None]], Path]:
        def save(_: Callable[[], None]) -> Path:
            started.append(name)
            assert go.wait(30)
            return Path(name)

        return save

    for name in ("first", "second", "third"):
        async_saver.begin(saver(name))
    assert not async_saver.done
    go.set()
    assert [async_saver.finish(), async_saver.finish(), async_saver.finish()] == [Path("first"), Path("third"), None]
    assert started == ["first", "third"]


def test_a_pending_save_can_be_discarded() -> None:
    async_saver, go = AsyncSaver(), Event()

    def save(_: Callable[[], None]) -> Path:
        assert go.wait(30)
        return Path("saved.pt")

    async_saver.begin(save)
    async_saver.begin(save)
    async_saver.discard_pending()
    go.set()
    assert [async_saver.finish(), async_saver.finish()] == [Path("saved.pt"), None]
