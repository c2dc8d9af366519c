"""Keeps ``report.html`` fresh beside a training: a short-lived process of lowest priority, one at a time."""

import os
import subprocess
import sys
from pathlib import Path

# A page about a large network must not take for ever: the network is asked for so many seconds.
_SECONDS = 20
# Whoever waits for the page waits no longer than this.
_PATIENCE_S = 180


class Refresher:
    """Rewrites the page of the run in ``weights_dir``. Its failures are told, and hurt nothing."""

    def __init__(self, weights_dir: Path) -> None:
        self._weights_dir = weights_dir
        self._process: subprocess.Popen[bytes] | None = None

    def refresh(self) -> None:
        """Start to write the page, unless it is being written just now. Does not wait."""
        if not self._process or self._process.poll() is not None:
            self._process = self._start()

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
            self._process.wait()

    def _start(self) -> subprocess.Popen[bytes] | None:
        root = Path(__file__).parents[1]
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
