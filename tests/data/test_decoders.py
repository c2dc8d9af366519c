"""The processes that decode: order, errors, and what happens if one of them or the loader dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lib.data.sources import decoders as decoders_module
from lib.data.sources.decoders import open_decoders
from tests.support.decoding import Number
from tests.support.scripts import ROOT


@pytest.mark.parametrize("count", [0, 1, 3])
def test_images_are_decoded_into_their_places(count: int) -> None:
    decoders = open_decoders(count, Number(), 2)
    rng = np.random.default_rng(0)
    for size in (0, 1, 2, 60):
        numbers = rng.integers(0, 230, size)
        out = np.zeros((size, 2, 2, 3), np.uint8)
        failed = decoders.decode([b"%d" % n for n in numbers], out)
        broken = {place: f"{n} is too much" for place, n in enumerate(numbers) if n > 200}
        assert failed == broken
        for place, n in enumerate(numbers):
            assert (out[place] == (0 if place in broken else n)).all()
    decoders.close()


@pytest.mark.parametrize("count", [0, 1])
def test_slow_images_are_named_by_heartbeats_of_which_each_may_take_its_time(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders_module, "_HEARTBEAT_S", 0.005)
    decoders = open_decoders(count, Number(), 2)
    out, beats = np.zeros((3, 2, 2, 3), np.uint8), list[str]()
    decoders.decode([b"-19800", b"-19801", b"199"], out, beats.append)  # 0.1 s each, and no time
    decoders.close()
    assert beats[0].startswith("decoding -1980")
    assert len(beats) == len(set(beats)) >= 2


def children(pid: int) -> list[int]:
    """Return the decoders among the children of ``pid``."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


def test_a_killed_decoder_is_an_error_and_not_a_hang() -> None:
    decoders = open_decoders(2, Number(), 2)
    out = np.zeros((4, 2, 2, 3), np.uint8)
    decoders.decode([b"1"] * 4, out)
    for child in children(os.getpid()):
        os.kill(child, signal.SIGKILL)
    message = r"a worker process was ended by SIGKILL.* the decoding of 1; is memory short\? Try fewer data.decoders"
    with pytest.raises(RuntimeError, match=message):
        decoders.decode([b"1"] * 4, out)
    decoders.close()


FAILING = """
import numpy as np
from tests.support.decoding import Number
from lib.data.sources.decoders import open_decoders
if __name__ == "__main__":
    decoders = open_decoders(2, Number(), 2)
    decoders.decode([b"1"] * 4, np.zeros((4, 2, 2, 3), np.uint8))
    raise SystemExit(7)
"""


def test_a_loader_with_an_error_ends_in_spite_of_its_decoders(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    command = [sys.executable, str(tmp_path / "failing.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, env=environment, check=False, timeout=30).returncode == 7


OWNER = """
import time
import numpy as np
from tests.support.decoding import Number
from lib.data.sources.decoders import open_decoders
if __name__ == "__main__":
    decoders = open_decoders(2, Number(), 2)
    decoders.decode([b"1"] * 4, np.zeros((4, 2, 2, 3), np.uint8))
    print("ready", flush=True)
    time.sleep(60)
"""


def test_decoders_end_when_their_loader_is_killed(tmp_path: Path) -> None:
    (tmp_path / "owner.py").write_text(OWNER)
    command = [sys.executable, str(tmp_path / "owner.py")]
    owner = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    assert owner.stdout.readline() == "ready\n"
    decoders = children(owner.pid)
    assert len(decoders) == 2
    owner.kill()
    owner.communicate()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() and not is_zombie(child) for child in decoders):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
