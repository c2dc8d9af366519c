"""Watch the processes of a run from outside, through /proc."""

from pathlib import Path
from typing import NamedTuple


class Sample(NamedTuple):
    """The resources of a process at one moment."""

    seconds: float
    """since the first sample"""
    own_bytes: int
    """resident memory that only this process maps"""
    shared_bytes: int
    """resident memory shared with other processes: slots and replicas, not files"""
    descriptors: int
    threads: int


def roles(supervisor: int) -> dict[str, int]:
    """Return the process numbers of the supervisor and of each role that it has started."""
    found = {"supervisor": supervisor}
    for child in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text(encoding="ascii").split():
        words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        if role := [word for word in words if word.startswith("lib.roles.")]:
            found[f"{role[0].rpartition('.')[2]} {words[-2]}"] = int(child)
    return found


def sample(pid: int, seconds: float) -> Sample:
    """Return the resources of process ``pid``. Raises OSError if it has ended."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    fields = {name: words.split() for name, _, words in (line.partition(":") for line in lines)}
    return Sample(
        seconds=seconds,
        own_bytes=int(fields["RssAnon"][0]) << 10,
        shared_bytes=int(fields["RssShmem"][0]) << 10,
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=int(fields["Threads"][0]),
    )
