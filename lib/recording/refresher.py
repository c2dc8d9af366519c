"""Rewrite ``report.html`` beside a training: one short process at a time, of lowest priority but for the last."""

import contextlib
import os
import subprocess
import time
from pathlib import Path

from ..system.python_module import module_command, module_environment

# The report evaluates the network for at most this long, so that a large network cannot hold it up.
_EVALUATION_S = 20
# After a report took n seconds, none is written for 9 n seconds. With epochs of a second, writing without a pause would
# take CPU time from the loaders.
_PAUSE_FACTOR = 9
FINISH_S = 180
"""the seconds that ``finish`` waits at most"""

_LOWEST = 19

# The kernel normally ends a killed process at once.
_KILL_TIMEOUT_S = 10


class Refresher:
    """Rewrites the report of the run in ``weights_dir``. A report that fails does not affect the run."""

    def __init__(self, weights_dir: Path) -> None:
        self._weights_dir = weights_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._started = self._paused_until = 0.0

    def refresh(self) -> None:
        """Start to write the report, unless one is being written or was written shortly before. Does not wait."""
        now = time.monotonic()
        if self._process and self._process.poll() is not None:
            self._paused_until = now + _PAUSE_FACTOR * (now - self._started)
            self._process = None
        if not self._process and now >= self._paused_until:
            self._process, self._started = self._start(_LOWEST), now

    def finish(self) -> bool:
        """Write the report and wait for it, until Ctrl-C at most. Return whether it was written."""
        self.close()
        self._process = self._start(0)  # the training needs the processors no more
        try:
            return bool(self._process and self._process.wait(FINISH_S) == 0)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            return False
        finally:
            self.close()

    def close(self) -> None:
        """End the process that writes the report, if there is one."""
        if self._process:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel holds it, for example for a lost disk
                self._process.wait(_KILL_TIMEOUT_S)

    def _start(self, nice: int) -> subprocess.Popen[bytes] | None:
        # In the background it hides the GPUs from itself, and ends when this process ends.
        command = [*module_command("report"), str(self._weights_dir)]
        command += [f"--background={os.getpid()}", f"--nice={nice}", f"--seconds={_EVALUATION_S}"]
        try:
            return subprocess.Popen(
                command,
                env=module_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError:  # no memory for another process: the training matters more
            return None
