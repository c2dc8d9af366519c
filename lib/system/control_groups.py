"""The control groups that this process is in, whose limits hold for it: those of a container, for example."""

from collections.abc import Iterator
from pathlib import Path

MOUNT, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def groups(mount: Path, membership: Path, controller: str) -> Iterator[Path]:
    """Yield the folder of each control group of either version, with those above it, that limits ``controller``.

    Not every folder exists.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = mount / (controller if controllers else "")
        group = Path(path)
        # The path may be that of the host, where a container only sees its own group, as the top.
        yield from {top / str(above).lstrip("/") for above in (group, *group.parents)}
