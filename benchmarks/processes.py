"""What a process has used so far, as Linux counts it."""

import os
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Of all its threads, in user and in kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> dict[str, int]:
    """Its memory now: ``anonymous`` (its own), ``file`` (programs and files that it maps) and ``shared``."""
    names = {"RssAnon": "anonymous", "RssFile": "file", "RssShmem": "shared"}
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    found = {line.partition(":")[0]: line.split() for line in lines}
    return {ours: int(found[theirs][1]) * 1024 for theirs, ours in names.items()}
