"""A checkpoint on its way to the disk while the training goes on."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

# How often whoever waits looks whether more is on the disk.
_TICK_S = 0.1


class Background:
    """Saves one checkpoint at a time, in a thread of its own: nearly all of that is done without Python's lock."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._saving: Future[Path] | None = None
        self._pieces = 0

    def begin(self, save: Callable[[Callable[[], None]], Path]) -> None:
        """Let the thread call ``save``, which calls its argument whenever more is on the disk; ``finish`` first."""
        self._saving = self._executor.submit(save, self._written)

    @property
    def busy(self) -> bool:
        """Whether there is something to ``finish``."""
        return self._saving is not None

    @property
    def done(self) -> bool:
        """Whether ``finish`` has something to tell, and would not wait."""
        return self._saving is not None and self._saving.done()

    def finish(self, waiting: Callable[[], Any] = lambda: None) -> Path | None:
        """Wait for what was begun: the checkpoint's path, None where nothing was. Raises what ``save`` raised.

        ``waiting`` is called as long as more and more of it is on the disk, and not where the disk has stopped.
        """
        saving, self._saving = self._saving, None
        if saving is None:
            return None
        seen = -1
        while not saving.done():
            if seen != self._pieces:
                seen = self._pieces
                waiting()
            wait([saving], _TICK_S)
        return saving.result()

    def _written(self) -> None:
        self._pieces += 1
