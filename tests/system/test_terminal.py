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
    done.write("went on")
"""


@pytest.mark.parametrize("redirected", [">/dev/full", ">/dev/full 2>&1", "| true"])
def test_what_nobody_can_read_ends_nothing(redirected: str) -> None:
    script = f'set -o pipefail; "$0" -c "$1" {redirected}'
    done = subprocess.run(
        ["bash", "-c", f"exec 3>&1; {script}", sys.executable, PROGRAM],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "went on")
    assert done.stderr == ("" if "2>&1" in redirected else "one\ntwo\n")
