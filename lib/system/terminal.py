"""Printing that survives a closed terminal or a pipe whose reader is gone: neither may end a run."""

import contextlib
import os
import sys
from collections.abc import Iterator


def print_stderr(text: str) -> None:
    """Print ``text`` to stderr; do nothing if stderr is closed."""
    with ignore_broken_pipe():
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def ignore_broken_pipe() -> Iterator[None]:
    """Ignore errors of writing to stdout and stderr inside the block; a stream that fails writes to /dev/null after."""
    try:
        yield
    except OSError:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:  # otherwise the interpreter flushes again at exit and changes the exit status
                devnull = os.open(os.devnull, os.O_WRONLY)
                os.dup2(devnull, stream.fileno())
                os.close(devnull)
