"""The free memory is that of the machine, within the limits of control groups."""

import math
from pathlib import Path

import pytest

from lib.system import memory


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_the_tightest_limit_counts_and_cached_files_can_be_given_up(tmp_path: Path) -> None:
    write(tmp_path, cgroup="0::/pod/job\n")
    stat = "anon 500\nactive_file 100\ninactive_file 200\n"
    write(tmp_path / "fs/pod/job", memory__max="max\n", memory__current="900\n", memory__stat=stat)
    assert memory._room(tmp_path / "fs", tmp_path / "cgroup") == math.inf
    write(tmp_path / "fs/pod", memory__max="1000\n", memory__current="900\n", memory__stat=stat)
    assert memory._room(tmp_path / "fs", tmp_path / "cgroup") == 400


def test_limits_of_the_first_version_count(tmp_path: Path) -> None:
    write(tmp_path, cgroup="4:memory:/docker/abc\n5:cpu:/x\n")
    stat = "total_active_file 1\ntotal_inactive_file 2\n"
    files = {"memory__limit_in_bytes": "1000\n", "memory__usage_in_bytes": "900\n", "memory__stat": stat}
    write(tmp_path / "fs/memory", **files)
    assert memory._room(tmp_path / "fs", tmp_path / "cgroup") == 103


@pytest.mark.parametrize(("room", "free"), [(math.inf, 2048), (100, 100), (-5, 0)])
def test_the_smaller_one_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: float, free: float) -> None:
    write(tmp_path, meminfo="MemTotal: 9 kB\nMemAvailable:   2 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_room", lambda *_: room)
    assert memory.free_memory() == free
