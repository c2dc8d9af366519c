"""The private folder of a run: its permissions, and when it is removed."""

import contextlib
import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lib.errors import ResourceError
from lib.runtime.socket_dir import run_folder
from tests.support.scripts import ROOT


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder with a short path; with a long one the run would use another folder."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


def test_the_folder_is_private_and_removed_with_its_run(place: Path) -> None:
    with contextlib.suppress(KeyError), run_folder() as folder:
        assert folder.parent == place
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        raise KeyError
    assert not list(place.iterdir())


def test_concurrent_runs_do_not_touch_each_other() -> None:
    with run_folder() as first:
        with run_folder() as second:
            assert first != second
            assert first.is_dir()
        assert first.is_dir()


def test_the_folder_of_a_killed_run_is_removed_by_the_next(place: Path) -> None:
    code = "import time; from lib.runtime.socket_dir import run_folder\n"
    code += "with run_folder() as folder: print(folder, flush=True); time.sleep(60)"
    environment = os.environ | {"TMPDIR": str(place), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        left = Path(killed.stdout.readline().strip())
        with run_folder():
            assert left.is_dir()
        killed.send_signal(signal.SIGKILL)
    assert left.is_dir()
    with run_folder() as folder:
        assert list(place.iterdir()) == [folder]


def test_without_file_locks_concurrent_runs_do_not_touch_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", none)
    with run_folder() as first:
        with run_folder() as second:
            assert first != second
        assert first.is_dir()
    assert not first.exists()


def test_a_long_temporary_path_is_replaced_by_tmp(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """The path of a socket holds about a hundred bytes."""
    monkeypatch.setattr("tempfile.tempdir", str(place / ("x" * 80)))
    with run_folder() as folder:
        assert folder.parent == Path("/tmp")


def test_the_path_is_counted_in_bytes(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    (place / ("数" * 20)).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place / ("数" * 20)))
    with run_folder() as folder:
        assert folder.parent == Path("/tmp")


def test_a_disk_without_sockets_is_passed_over(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    real = socket.socket.bind

    class Socket(socket.socket):
        def bind(self, address: Any) -> None:
            if os.fsencode(place) in address:
                raise OSError(errno.EPERM, os.strerror(errno.EPERM))
            real(self, address)

    monkeypatch.setattr("socket.socket", Socket)
    with run_folder() as folder:
        assert folder.parent == Path("/tmp")
    assert not list(place.iterdir())


def test_where_no_disk_holds_sockets_the_error_names_them(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    class Socket(socket.socket):
        def bind(self, address: Any) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("socket.socket", Socket)
    with pytest.raises(ResourceError, match=rf"{place}: Operation not permitted; /tmp: .*set TMPDIR"), run_folder():
        pass
    assert not list(place.iterdir())


def test_the_folder_of_another_machine_is_left_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock may not be seen here, as on a network disk."""
    other = place / "trainer-00000000-abcdefgh"
    other.mkdir()
    (other / "lock").touch()
    with run_folder():
        assert other.is_dir()
