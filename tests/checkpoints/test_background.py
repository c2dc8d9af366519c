"""Signs of life while a checkpoint is waited for, and what is told of it."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from lib.checkpoints.background import Background
from lib.errors import CheckpointError


def test_a_disk_that_goes_on_is_told_from_one_that_has_stopped() -> None:
    """As many signs of life as there are pieces on the disk, and one at the start: none while nothing happens."""
    background, next_piece = Background(), Event()
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

    background.begin(save)
    assert background.busy
    assert background.finish(waiting) == Path("saved.pt")
    assert signs == 4
    assert not background.busy
    assert background.finish(waiting) is None


def test_a_failure_is_told_once() -> None:
    background = Background()

    def save(_: Callable[[], None]) -> Path:
        raise CheckpointError("the disk is full")

    background.begin(save)
    with pytest.raises(CheckpointError, match="^the disk is full$"):
        background.finish()
    assert background.finish() is None


def test_of_those_that_wait_the_last_one_is_saved() -> None:
    background, go_on = Background(), Event()
    began: list[str] = []

    def saving(name: str) -> Callable[[Callable[[], None]], Path]:
        def save(_: Callable[[], None]) -> Path:
            began.append(name)
            assert go_on.wait(30)
            return Path(name)

        return save

    for name in ("first", "second", "third"):
        background.begin(saving(name))
    assert not background.done
    go_on.set()
    assert [background.finish(), background.finish(), background.finish()] == [Path("first"), Path("third"), None]
    assert began == ["first", "third"]


def test_what_waits_can_be_left_out() -> None:
    background, go_on = Background(), Event()

    def save(_: Callable[[], None]) -> Path:
        assert go_on.wait(30)
        return Path("saved.pt")

    background.begin(save)
    background.begin(save)
    background.leave_out()
    go_on.set()
    assert [background.finish(), background.finish()] == [Path("saved.pt"), None]
