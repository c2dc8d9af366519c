"""Print any text to any stream: a closed terminal, a pipe without a reader or another encoding may not end a run."""

import codecs
import contextlib
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator

from .program import as_called

# Control characters but for tab and newline, and those that reverse the direction of the text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def prepare_streams() -> None:
    """Make stdin, stdout and stderr usable. Called first in every process.

    A closed stream becomes /dev/null: otherwise the next file that is opened takes its number and gets what is printed.
    File names keep bytes that are not text, and a character that the encoding of a stream lacks is escaped. What Pillow
    warns of, odd metadata of a file that it does not name, is not shown.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    codecs.register_error("escape", _escape)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="escape" if number else "surrogateescape")


def printable(text: str) -> str:
    """Return ``text`` without characters that would control a terminal; they are escaped.

    >>> printable("two\\nlines, \\x1b[31mred")
    'two\\nlines, \\\\x1b[31mred'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def print_stdout(text: str) -> None:
    """Print ``text``, which may hold names from anywhere, to stdout; do nothing if stdout cannot be written.

    For what is only shown while something else is done; a program whose output is its result must not ignore this.
    """
    with ignore_broken_pipe():
        print(printable(text), flush=True)


def print_stderr(text: str) -> None:
    """Print ``text``, which may hold names from anywhere, to stderr; do nothing if stderr is closed.

    Scripts that it names are named as they are called here.
    """
    with ignore_broken_pipe():
        print(printable(as_called(text)), file=sys.stderr, flush=True)


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


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    """Handle text that cannot be encoded: bytes of a file name stay as they are, the rest is escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    first = error.object[error.start]
    escaped = os.fsencode(first) if "\udc80" <= first <= "\udcff" else first.encode("unicode_escape")
    return escaped, error.start + 1
