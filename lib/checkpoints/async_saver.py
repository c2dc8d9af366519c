"""A checkpoint on its way to the disk while the training goes on."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

# How often whoever waits looks whether more is on the disk.
_TICK_S = 0.1

Save = Callable[[Callable[[], None]], Path]
"""writes a checkpoint, calls its argument whenever more of it is on the disk, and returns its path"""


class AsyncSaver:
    """Saves one checkpoint at a time, in a thread of its own: nearly all of that is done without Python's lock."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._saving: Future[Path] | None = None
        self._next: Save | None = None
        self._pieces = 0

    def begin(self, save: Save) -> None:
        """Let the thread call ``save``, at once or, where another is still to be finished, right after that; what waits
        already for its turn is left out.
        """
        if self.busy:
            self._next = save
        else:
            self._saving = self._executor.submit(save, self._written)

    def leave_out(self) -> None:
        """Forget what waits for its turn, if anything does: a newer one is about to need the memory."""
        self._next = None

    @property
    def busy(self) -> bool:
        """Whether there is something to ``finish``."""
        return self._saving is not None

    @property
    def done(self) -> bool:
        """Whether ``finish`` has something to tell, and would not wait."""
        return self._saving is not None and self._saving.done()

    def finish(self, waiting: Callable[[], Any] = lambda: None) -> Path | None:
        """Wait for what was begun, and begin what waits: the path of the former, None where there was nothing.

        ``waiting`` is called as long as more and more of it is on the disk, and not where the disk has stopped.
        Raises what ``save`` raised.
        """
        checkpoint_writer, self._saving = self._saving, None
        if checkpoint_writer is None:
            return None
        seen = -1
        while not checkpoint_writer.done():
            if seen != self._pieces:
                seen = self._pieces
                waiting()
            wait([checkpoint_writer], _TICK_S)
        path = checkpoint_writer.result()
        if self._next:
            self.begin(self._next)
            self._next = None
        return path

    def _written(self) -> None:
        self._pieces += 1
