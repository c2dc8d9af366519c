"""Results that several runs need at once are computed by one of them."""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lib.data import cache as module
from lib.data.cache import cached
from lib.data.index import Index, index_bytes, read_index
from lib.errors import ConfigError, DataError


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[int]:
    """Return the lock of another run that computes something; closing it releases it."""
    lock = os.open(tmp_path / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield lock
    os.close(lock)


def test_a_result_is_computed_once(tmp_path: Path) -> None:
    results = [cached(tmp_path / "x", lambda text=text: text) for text in (b"first", b"second")]  # type: ignore[misc]
    assert [path.read_bytes() for path in results] == [b"first", b"first"]


def test_waiting_for_another_run_is_reported(tmp_path: Path, claim: int, capsys: pytest.CaptureFixture[str]) -> None:
    timer = threading.Timer(0.3, fcntl.flock, (claim, fcntl.LOCK_UN))
    timer.start()
    assert cached(tmp_path / "x", lambda: b"ours").read_bytes() == b"ours"
    timer.join()
    assert capsys.readouterr().out == f"waiting for another run, which is making {tmp_path / 'x'} ...\n"


@pytest.mark.usefixtures("claim")
def test_waiting_for_another_run_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.2)
    with pytest.raises(ConfigError, match=r"has been making .*x for 0\.2 s; end it, or name another folder"):
        cached(tmp_path / "x", lambda: b"ours")


def test_a_disk_without_locks_can_hold_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert cached(tmp_path / "x", lambda: b"ours").read_bytes() == b"ours"


def test_a_cached_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[int, bool]] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append((os.fstat(fd).st_ino, (tmp_path / "x").exists())))
    path = cached(tmp_path / "x", lambda: b"ours")
    assert synced == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


INDEX = Index(np.array([b"a/1.JPEG", b"b/2.JPEG"]), np.arange(2))


def test_an_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    names, labels = read_index(cached(tmp_path / "x.npz", lambda: index_bytes(INDEX)))
    assert (names.tolist(), labels.tolist()) == (INDEX.names.tolist(), [0, 1])


@pytest.mark.parametrize("damage", ["half", "zeros", "one byte", "another kind", "other arrays", "gone"])
def test_a_damaged_index_is_reported_in_one_line(tmp_path: Path, damage: str) -> None:
    content, path = index_bytes(INDEX), tmp_path / "x.npz"
    path.write_bytes(
        {
            "half": content[: len(content) // 2],
            "zeros": content[: len(content) // 2].ljust(len(content), b"\0"),
            "one byte": content[:200] + bytes([content[200] ^ 1]) + content[201:],
            "another kind": content.replace(b"PK\x01\x02\x2d\x03\x2d\0\0\0\0", b"PK\x01\x02\x2d\x03\x2d\0\0\0\x63"),
            "other arrays": index_bytes(Index(INDEX.names, np.arange(3))),
            "gone": b"",
        }[damage]
    )
    with pytest.raises(DataError, match=r"x\.npz is damaged \(.+\); delete it and start again$") as error:
        read_index(path)
    assert "\n" not in str(error.value)
