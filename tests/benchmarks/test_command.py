"""Tests of what the commands of all benchmarks share."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.support.scripts import ROOT

PROGRAM = """
import subprocess, sys, time
from benchmarks import command
from benchmarks.training import end
def main(argv):
    run = subprocess.Popen(["sleep", "60"])
    try:
        print(run.pid, flush=True)
        time.sleep(60)
    finally:
        end(run)
sys.exit(command.run(main))
"""


def test_sigterm_also_ends_the_run_of_a_benchmark() -> None:
    words = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as benchmark:
        try:
            assert benchmark.stdout
            run = int(benchmark.stdout.readline())
        finally:
            benchmark.terminate()
        assert benchmark.wait(60) == 128 + signal.SIGTERM
    assert not Path(f"/proc/{run}").exists()
