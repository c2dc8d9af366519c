"""A run watched from outside, as the kernel sees its processes."""

from pathlib import Path
from typing import NamedTuple


class Sample(NamedTuple):
    """What a process holds at one moment."""

    seconds: float
    """since the watching began"""
    own_bytes: int
    """resident memory of its own: what only this process sees"""
    shared_bytes: int
    """resident memory that it shares with others: slots and replicas, not files"""
    descriptors: int
    threads: int


def roles(supervisor: int) -> dict[str, int]:
    """The process number of the supervisor and of each role that it has started."""
    found = {"supervisor": supervisor}
    for child in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text(encoding="ascii").split():
        words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        if role := [word for word in words if word.startswith("lib.roles.")]:
            found[f"{role[0].rpartition('.')[2]} {words[-2]}"] = int(child)
    return found


def sample(pid: int, seconds: float) -> Sample:
    """What process ``pid`` holds now. Raises OSError when it has ended."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    fields = {name: words.split() for name, _, words in (line.partition(":") for line in lines)}
    return Sample(
        seconds=seconds,
        own_bytes=int(fields["RssAnon"][0]) << 10,
        shared_bytes=int(fields["RssShmem"][0]) << 10,
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=int(fields["Threads"][0]),
    )
