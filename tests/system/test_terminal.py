"""Tests of printing to a terminal or pipe that is gone."""

import re
import subprocess
import sys

import pytest

from tests.support.scripts import ROOT

PROGRAM = """
import sys
from lib.system.terminal import print_stderr, print_stdout
for text in ("one", "two"):
    print_stdout(text)
    print_stderr(text)
with open("/proc/self/fd/3", "w") as done:
    done.write("continued")
"""


@pytest.mark.parametrize("redirected", [">/dev/full", ">/dev/full 2>&1", "| true"])
def test_output_that_cannot_be_written_does_not_end_the_program(redirected: str) -> None:
    script = f'set -o pipefail; "$0" -c "$1" {redirected}'
    done = subprocess.run(
        ["bash", "-c", f"exec 3>&1; {script}", sys.executable, PROGRAM],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "continued")
    assert done.stderr == ("" if "2>&1" in redirected else "one\ntwo\n")


@pytest.mark.parametrize("package", ["data", "roles", "runtime", "training", "recording", "checkpoints"])
def test_what_is_only_shown_does_not_end_the_work(package: str) -> None:
    """A print of its own would raise where the reader of a pipe is gone, or the disk behind stdout is full."""
    guarded = re.compile(r"@ignore_broken_pipe\(\)|with ignore_broken_pipe\(\)")
    for path in (ROOT / "lib" / package).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])print\(", text) or guarded.search(text), path


ANY_TEXT = """
from lib.system.terminal import prepare_streams, print_stderr
prepare_streams()
first = open("/dev/null").fileno()
import sys, warnings
warnings.warn_explicit("odd metadata", UserWarning, "TiffImagePlugin.py", 982, "PIL.TiffImagePlugin")  # not shown
print("ä \\udcff " + sys.stdin.read(), flush=True)
print_stderr("a \\x1b]0;title\\x07 b")
sys.exit(first)
"""


def run_with(streams: str, encoding: str) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        ["bash", "-c", f'echo in | "$0" -c "$1" {streams}', sys.executable, ANY_TEXT],
        cwd=ROOT, capture_output=True, check=False, env={"PYTHONIOENCODING": encoding},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_text_that_the_terminal_cannot_show_is_escaped() -> None:
    assert run_with("", "ascii") == (3, b"\\xe4 \xff in\n\n", b"a \\x1b]0;title\\x07 b\n")
    assert run_with("", "utf-8")[1] == "ä ".encode() + b"\xff in\n\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_file_that_is_opened_later(closed: str) -> None:
    assert run_with(closed, "utf-8")[0] == 3, "descriptors 0 to 2 are the streams, open or not"
