"""Tests of memory shared between processes."""

import resource
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lib.errors import PeerLost, ProtocolError, ResourceError
from lib.ipc import shared_memory
from lib.ipc.messages import TensorHandle
from tests.support.scripts import ROOT


def test_writes_are_visible_on_both_sides() -> None:
    mine, handle = shared_memory.create("slots", (2, 3), "int64")
    theirs = shared_memory.attach(handle)
    assert not theirs.any()
    mine[1, 2] = 7
    theirs[0, 0] = 5
    assert theirs[1, 2] == 7
    assert mine[0, 0] == 5


def test_another_process_attaches_to_memory_that_has_no_name() -> None:
    mine, handle = shared_memory.create("slots", (1000, 1000), "float32")
    code = (
        "import sys, msgspec; from lib.ipc import shared_memory; from lib.ipc.messages import TensorHandle;"
        "shared_memory.attach(msgspec.json.decode(sys.argv[1], type=TensorHandle))[999, 999] = 4.5"
    )
    subprocess.run([sys.executable, "-c", code, msgspec.json.encode(handle).decode()], cwd=ROOT, check=True)
    assert mine[999, 999] == 4.5
    path = Path(handle.address.removeprefix("file:"))
    assert str(path.readlink()).startswith("/memfd:slots")


def test_too_little_memory_is_an_error_at_once_not_at_first_use() -> None:
    """The process may write files of at most 1 MB, which includes shared memory."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(
            ResourceError, match=r"no memory for images, 0.002 GB .* File too large; lower batch_size or"
        ):
            shared_memory.create("images", (2_000_000,), "uint8")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("address", ["file:/etc/passwd", "cuda:00", "file:/proc/1/fd/../../../etc/passwd", ""])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ProtocolError, match="does not address mapped memory"):
        shared_memory.attach(TensorHandle("x", address, (1,), "uint8"))


def test_a_handle_larger_than_its_memory_is_refused() -> None:
    mine, handle = shared_memory.create("x", (10,), "uint8")
    assert np.array_equal(mine, np.zeros(10))
    with pytest.raises(ProtocolError, match="is larger than the memory behind it"):
        shared_memory.attach(TensorHandle("x", handle.address, (11,), "uint8"))


def test_attaching_to_an_ended_owner_raises_peer_lost() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(PeerLost, match="the owner of slots has ended"):
        shared_memory.attach(TensorHandle("slots", f"file:/proc/{gone.pid}/fd/3", (1,), "uint8"))
