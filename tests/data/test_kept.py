"""What several runs that start at once make only once."""

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.data import kept as module
from lib.data.kept import kept
from lib.errors import ConfigError


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[int]:
    """The lock of another run, which makes something; let go of when closed."""
    lock = os.open(tmp_path / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield lock
    os.close(lock)


def test_it_is_made_once(tmp_path: Path) -> None:
    made = [kept(tmp_path / "x", lambda text=text: text) for text in (b"first", b"second")]  # type: ignore[misc]
    assert [path.read_bytes() for path in made] == [b"first", b"first"]


def test_who_has_to_wait_says_so(tmp_path: Path, claim: int, capsys: pytest.CaptureFixture[str]) -> None:
    timer = threading.Timer(0.3, fcntl.flock, (claim, fcntl.LOCK_UN))
    timer.start()
    assert kept(tmp_path / "x", lambda: b"ours").read_bytes() == b"ours"
    timer.join()
    assert capsys.readouterr().out == f"waiting for another run, which is making {tmp_path / 'x'} ...\n"


@pytest.mark.usefixtures("claim")
def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.2)
    with pytest.raises(ConfigError, match=r"has been making .*x for 0\.2 s; end it, or name another folder"):
        kept(tmp_path / "x", lambda: b"ours")
