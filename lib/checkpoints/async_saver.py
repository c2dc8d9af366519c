"""Saving checkpoints in a background thread while the training continues."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

# Seconds between two looks at the thread while ``finish`` waits.
_TICK_S = 0.1

Save = Callable[[Callable[[], None]], Path]
"""writes a checkpoint, calls its argument whenever another part of it is on disk, and returns its path"""


class AsyncSaver:
    """Saves one checkpoint at a time in a thread. Almost all of that runs without Python's global lock."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._current: Future[Path] | None = None
        self._pending: Save | None = None
        self._pieces = 0

    def begin(self, save: Save) -> None:
        """Call ``save`` in the thread: now, or after the current save, in place of any other pending one."""
        if self.busy:
            self._pending = save
        else:
            self._current = self._executor.submit(save, self._count_piece)

    def discard_pending(self) -> None:
        """Drop the pending save, if any, and with it the memory of its copy of the weights."""
        self._pending = None

    @property
    def busy(self) -> bool:
        """Whether there is a save to ``finish``."""
        return self._current is not None

    @property
    def done(self) -> bool:
        """Whether there is a save to ``finish``, and that would not wait."""
        return self._current is not None and self._current.done()

    def finish(self, on_progress: Callable[[], Any] = lambda: None) -> Path | None:
        """Wait for the current save, begin the pending one, and return the path of the former, or None.

        ``on_progress`` is called while more and more of the file reaches the disk, and not if the disk stalls. Raises
        what ``save`` raised.
        """
        current, self._current = self._current, None
        if current is None:
            return None
        seen = -1
        while not current.done():
            if seen != self._pieces:
                seen = self._pieces
                on_progress()
            wait([current], _TICK_S)
        path = current.result()
        if self._pending:
            self.begin(self._pending)
            self._pending = None
        return path

    def _count_piece(self) -> None:
        self._pieces += 1
