"""Tests of printing to a terminal or pipe that is gone."""

import subprocess
import sys

import pytest

from tests.support.scripts import ROOT

PROGRAM = """
import sys
from lib.system.terminal import ignore_broken_pipe, print_stderr
for text in ("one", "two"):
    with ignore_broken_pipe():
        print(text, flush=True)
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
