"""Keeps ``report.html`` fresh beside a training: a short-lived process of lowest priority, one at a time."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

# A page about a large network must not take for ever: the network is asked for so many seconds.
_SECONDS = 20
# After a page the training has the machine to itself for so many times as long as the page took: where epochs last a
# second, writing pages without pause would take a share of the loader's time.
_REST = 9
# Whoever waits for the page waits no longer than this.
_PATIENCE_S = 180
# The kernel ends a killed process at once, as a rule.
_KILLED_S = 10


class Refresher:
    """Rewrites the page of the run in ``weights_dir``. Its failures are told, and hurt nothing."""

    def __init__(self, weights_dir: Path) -> None:
        self._weights_dir = weights_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._started = self._rests_until = 0.0

    def refresh(self) -> None:
        """Start to write the page, unless it is being written just now or was not long ago. Does not wait."""
        now = time.monotonic()
        if self._process and self._process.poll() is not None:
            self._rests_until = now + _REST * (now - self._started)
            self._process = None
        if not self._process and now >= self._rests_until:
            self._process, self._started = self._start(), now

    def finish(self) -> bool:
        """Write the page and wait for it: whether it is there now."""
        self.close()
        self._process = self._start()
        try:
            return bool(self._process and self._process.wait(_PATIENCE_S) == 0)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            return False
        finally:
            self.close()

    def close(self) -> None:
        """Nothing is left running."""
        if self._process:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # held by the kernel, as by a disk that is away
                self._process.wait(_KILLED_S)

    def _start(self) -> subprocess.Popen[bytes] | None:
        root = Path(__file__).parents[2]
        path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
        # It makes itself the least of all processes, hides the GPUs from itself, and ends when we end.
        command = [sys.executable, "-P", "-m", "lib.report", str(self._weights_dir)]
        command += [f"--background={os.getpid()}", f"--seconds={_SECONDS}"]
        try:
            return subprocess.Popen(
                command,
                env=os.environ | {"PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError:  # no memory for one more process: the training is what counts
            return None
