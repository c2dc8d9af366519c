"""The number of cores follows affinity, quotas of control groups, and load."""

import math
from pathlib import Path

import pytest

from lib.system import cpus


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_the_smallest_quota_of_all_groups_above_counts(tmp_path: Path) -> None:
    write(tmp_path, cgroup="0::/pod/job\n")
    write(tmp_path / "fs/pod/job", cpu__max="max 100000\n")
    write(tmp_path / "fs/pod", cpu__max="150000 100000\n")
    assert cpus._quota(tmp_path / "fs", tmp_path / "cgroup") == 1.5


def test_quotas_of_the_first_version_count_where_a_container_sees_only_its_own_group(tmp_path: Path) -> None:
    write(tmp_path, cgroup="9:name=systemd:/x\n4:cpu,cpuacct:/docker/abc\n")
    write(tmp_path / "fs/cpu", cpu__cfs_quota_us="100000\n", cpu__cfs_period_us="50000\n")
    assert cpus._quota(tmp_path / "fs", tmp_path / "cgroup") == 2
    write(tmp_path / "fs/cpu", cpu__cfs_quota_us="-1\n")
    assert cpus._quota(tmp_path / "fs", tmp_path / "cgroup") == math.inf


def test_no_control_groups_are_no_limit(tmp_path: Path) -> None:
    assert cpus._quota(tmp_path, tmp_path / "missing") == math.inf


@pytest.mark.parametrize(
    ("quota", "load", "usable", "free"), [(math.inf, 0.2, 8, 8), (1.5, 0.2, 2, 2), (8, 13.4, 8, 3), (0.2, 40, 1, 1)]
)
def test_load_takes_cores_away_but_never_all(
    monkeypatch: pytest.MonkeyPatch, quota: float, load: float, usable: int, free: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(cpus, "_quota", lambda *_: quota)
    assert (cpus.usable_cores(), cpus.free_cores()) == (usable, free)


def test_a_cpu_with_instructions_for_bfloat16_is_known(tmp_path: Path) -> None:
    cases = ("flags : sse2 avx512f avx512_bf16", True), ("Features : fp bf16", True), ("flags : avx2", False)
    for flags, has in cases:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\n")
        assert cpus.has_bfloat16(tmp_path / "cpuinfo") == has
    assert not cpus.has_bfloat16(tmp_path / "none")
