"""The CPU cores that a process may use, and those that other processes leave free."""

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return the number of cores that affinity and the quotas of all control groups allow; at least 1."""
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), _quota(_CGROUPS, Path("/proc/self/cgroup")))))


def free_cores() -> int:
    """Return the number of usable cores that the machine's load of the last minute leaves free; at least 1."""
    return max(1, min(usable_cores(), round((os.cpu_count() or 1) - os.getloadavg()[0])))


def _quota(mount: Path, membership: Path) -> float:
    """Return the cores that control groups of either version allow; infinite without a quota."""
    quota = math.inf
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return quota
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = mount / ("cpu" if controllers else "")
        group = Path(path)
        # The path may be that of the host, where a container only sees its own group, as the top.
        for folder in {top / str(above).lstrip("/") for above in (group, *group.parents)}:
            quota = min(quota, _quota_of(folder))
    return quota


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
