"""Where the time of the last iterations went."""

import time


class Clock:
    """Where the time of the last iterations went, in seconds."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._waited_s = self._exchanged_s = 0.0

    def leave_out(self, elapsed_s: float, waited_s: float) -> None:
        """So much of this lap, and of its waiting, was spent on something else."""
        self._began += elapsed_s
        self._waited_s += waited_s

    def lap(self, waited_s: float, exchanged_s: float) -> tuple[float, float, float]:
        """(elapsed, waited for data, exchanged) since the last lap. What is given counts from the run's start."""
        now = time.perf_counter()
        times = now - self._began, waited_s - self._waited_s, exchanged_s - self._exchanged_s
        self._began, self._waited_s, self._exchanged_s = now, waited_s, exchanged_s
        return times
