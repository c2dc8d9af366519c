"""One holder at a time, until it closes the file."""

import os
import threading
from pathlib import Path

from lib.system.file_lock import open_lock_file, try_lock, wait_for_lock


def test_a_second_one_gets_the_lock_when_the_first_closes_its_file(tmp_path: Path) -> None:
    first, second = (open_lock_file(tmp_path / "lock") for _ in range(2))
    assert try_lock(first)
    assert not try_lock(second)
    os.close(first)
    assert try_lock(second)
    os.close(second)


def test_waiting_ends_with_the_lock_or_after_the_timeout(tmp_path: Path) -> None:
    first, second = (open_lock_file(tmp_path / "lock") for _ in range(2))
    waits: list[str] = []
    assert wait_for_lock(first, 0, lambda: waits.append("first"))
    assert not wait_for_lock(second, 0.2, lambda: waits.append("second"))
    threading.Timer(0.3, os.close, [first]).start()
    assert wait_for_lock(second, 20, lambda: waits.append("again"))
    assert waits == ["second", "again"]
    os.close(second)


def test_a_folder_can_be_locked_itself(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    assert (try_lock(first), try_lock(second)) == (True, False)
    os.close(first)
    os.close(second)
