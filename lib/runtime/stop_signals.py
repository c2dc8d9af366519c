"""The signals that ask a whole run to stop, as its supervisor receives them."""

import signal
import time
from types import FrameType
from typing import Any, Self

from ..system.signals import TERMINAL, WARNINGS

# Only these may end a run at once, when one of them follows another. The rest come from systems that give a run time
# to save, and in groups: the end of a terminal sends SIGHUP twice.
_IMPATIENT = (signal.SIGINT, signal.SIGTERM)
# Signals within this time are one request: a launcher and its process group may both send one.
_ONE_REQUEST_S = 0.5


class StopSignals:
    """Inside this context, signals ask the run to stop instead of ending this process. Ignored ones stay ignored."""

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        """the first signal, whose number becomes part of the exit status"""
        self.at_once = False
        """whether the user asked twice"""
        self._impatient_at: float | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Handle a signal."""
        self.first = self.first or signal.Signals(number)
        if number in _IMPATIENT:
            now = time.monotonic()
            self._impatient_at = self._impatient_at or now
            self.at_once = self.at_once or now - self._impatient_at > _ONE_REQUEST_S

    def __enter__(self) -> Self:
        # nohup ignores SIGHUP so that a run survives its terminal, a shell script SIGINT for what it starts with &.
        wanted = [number for number in (*TERMINAL, *WARNINGS) if signal.getsignal(number) != signal.SIG_IGN]
        self._previous = {number: signal.signal(number, self.receive) for number in wanted}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
