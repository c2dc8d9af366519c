"""Signs of life while a checkpoint is waited for, and what is told of it."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from lib.checkpoints.async_saver import AsyncSaver
from lib.errors import CheckpointError


def test_a_disk_that_goes_on_is_told_from_one_that_has_stopped() -> None:
    """As many signs of life as there are pieces on the disk, and one at the start: none while nothing happens."""
    async_saver, next_piece = AsyncSaver(), Event()
    signs = 0

    def save(written: Callable[[], None]) -> Path:
        for _ in range(3):
            assert next_piece.wait(30)
            next_piece.clear()
            written()
        time.sleep(0.5)  # nothing gets to the disk
        return Path("saved.pt")

    def waiting() -> None:
        nonlocal signs
        signs += 1
        next_piece.set()

    async_saver.begin(save)
    assert async_saver.busy
    assert async_saver.finish(waiting) == Path("saved.pt")
    assert signs == 4
    assert not async_saver.busy
    assert async_saver.finish(waiting) is None


def test_a_failure_is_told_once() -> None:
    async_saver = AsyncSaver()

    def save(_: Callable[[], None]) -> Path:
        raise CheckpointError("the disk is full")

    async_saver.begin(save)
    with pytest.raises(CheckpointError, match="^the disk is full$"):
        async_saver.finish()
    assert async_saver.finish() is None


def test_of_those_that_wait_the_last_one_is_saved() -> None:
    async_saver, plan_from = AsyncSaver(), Event()
    began: list[str] = []

    def checkpoint_writer(name: str) -> Callable[[Callable[[], None]], Path]:
        def save(_: Callable[[], None]) -> Path:
            began.append(name)
            assert plan_from.wait(30)
            return Path(name)

        return save

    for name in ("first", "second", "third"):
        async_saver.begin(checkpoint_writer(name))
    assert not async_saver.done
    plan_from.set()
    assert [async_saver.finish(), async_saver.finish(), async_saver.finish()] == [Path("first"), Path("third"), None]
    assert began == ["first", "third"]


def test_what_waits_can_be_left_out() -> None:
    async_saver, plan_from = AsyncSaver(), Event()

    def save(_: Callable[[], None]) -> Path:
        assert plan_from.wait(30)
        return Path("saved.pt")

    async_saver.begin(save)
    async_saver.begin(save)
    async_saver.leave_out()
    plan_from.set()
    assert [async_saver.finish(), async_saver.finish()] == [Path("saved.pt"), None]
