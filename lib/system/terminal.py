"""A terminal may be closed, or whoever reads a pipe be gone, while a run lasts: that must not end it."""

import contextlib
import os
import sys
from collections.abc import Iterator


def print_stderr(text: str) -> None:
    """Print ``text`` to stderr, if anyone is there."""
    with ignore_broken_pipe():
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def ignore_broken_pipe() -> Iterator[None]:
    """What is printed inside may reach nobody: what cannot be written is let go, from then on without a word."""
    try:
        yield
    except OSError:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:  # else the interpreter would try once more at exit, and end with a status of its own
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
