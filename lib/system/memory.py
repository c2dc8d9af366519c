"""The memory that a process can still take: what the machine has free, within the limit of its container."""

import math
import re
from pathlib import Path

from .control_groups import MEMBERSHIP, MOUNT, groups

_MEMINFO = Path("/proc/meminfo")


def free_memory() -> float:
    """Return the bytes that can be allocated, by giving up cached files if need be."""
    return max(0.0, min(_available(_MEMINFO), _room(MOUNT, MEMBERSHIP)))


def _available(meminfo: Path) -> float:
    try:
        found = re.search(r"MemAvailable: +(\d+) kB", meminfo.read_text(encoding="ascii"))
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else math.inf


def _room(mount: Path, membership: Path) -> float:
    """Return the bytes that the limits of control groups leave; infinite without a limit."""
    return min((_room_of(folder) for folder in groups(mount, membership, "memory")), default=math.inf)


def _room_of(folder: Path) -> float:
    v2 = (folder / "memory.max").exists()
    limit, usage = ("memory.max", "memory.current") if v2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    try:
        stat = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        files = sum(int(stat[f"{'' if v2 else 'total_'}{name}"]) for name in ("active_file", "inactive_file"))
        numbers = ((folder / name).read_text(encoding="ascii") for name in (limit, usage))
        most, used = map(int, numbers)
    except (OSError, ValueError, KeyError):  # no such group, or "max"
        return math.inf
    return most - used + files
