"""CPU time and memory of a process, from /proc."""

import os
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of all threads of a process so far, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> dict[str, int]:
    """Return the resident memory: ``anonymous`` (private), ``file`` (mapped programs and files) and ``shared``."""
    names = {"RssAnon": "anonymous", "RssFile": "file", "RssShmem": "shared"}
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    fields = {line.partition(":")[0]: line.split() for line in lines}
    return {name: int(fields[key][1]) * 1024 for key, name in names.items()}
