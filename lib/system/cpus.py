"""The CPU cores that a process may use, and those that other processes leave free."""

import math
import os
from pathlib import Path

from .control_groups import MEMBERSHIP, MOUNT, groups


def usable_cores() -> int:
    """Return the number of cores that affinity and the quotas of all control groups allow; at least 1."""
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), _quota(MOUNT, MEMBERSHIP))))


def free_cores() -> int:
    """Return the number of usable cores that the machine's load of the last minute leaves free; at least 1."""
    return max(1, min(usable_cores(), round((os.cpu_count() or 1) - os.getloadavg()[0])))


def has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the CPU multiplies bfloat16 matrices itself: AVX-512 BF16 or AMX of x86, BF16 of Arm."""
    try:
        words = set(cpuinfo.read_text(encoding="utf-8").split())
    except OSError:
        return False
    return not words.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def _quota(mount: Path, membership: Path) -> float:
    """Return the cores that control groups of either version allow; infinite without a quota."""
    return min((_quota_of(folder) for folder in groups(mount, membership, "cpu")), default=math.inf)


def _quota_of(folder: Path) -> float:
    try:
        if (folder / "cpu.max").exists():
            limit, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        else:
            files = (folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
            limit, period = (file.read_text(encoding="utf-8") for file in files)
        return int(limit) / int(period) if int(limit) > 0 else math.inf
    except (OSError, ValueError):  # no such group, or "max"
        return math.inf
