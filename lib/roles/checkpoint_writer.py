"""Checkpoints of a run: worker 0 writes them, while the training goes on."""

from collections.abc import Callable
from pathlib import Path

from lib.checkpoints.progress import Progress
from lib.errors import DivergedError
from lib.roles.train_state import TrainState
from lib.runtime.process import Context


class CheckpointWriter:
    """One worker's part in it. Where replicas agree, worker 0's is everyone's, so the others have none to play."""

    def __init__(self, context: Context, parts: TrainState, tell: Callable[[Path], None]) -> None:
        """``tell`` is called with each checkpoint that has got to the disk."""
        self._saves, self._client, self._on_nan = context.rank == 0, context.client, context.config.run.on_nan
        self._exchange, self._snapshots, self._tell = parts.exchange, parts.snapshots, tell
        self.last = ""
        """the last checkpoint that was brought to the disk; empty if none was"""

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is on its way."""
        return self._snapshots.async_saver.busy

    def begin(self, progress: Progress, *, soon: bool = False) -> None:
        """Begin to write a checkpoint, once the one before is on the disk.

        ``soon``: without waiting for that, and only if no newer one is begun first.
        Raises CheckpointError when the one before failed, DivergedError rather than save weights that are no numbers.
        """
        if not self._saves:
            return
        self._exchange.synchronize()
        if not soon:
            self.finish()
        try:
            self._snapshots.save(progress)
        except DivergedError:
            if self._on_nan == "stop":
                raise
            # The checkpoint before stands: what follows, here or in a resume, goes back to it.

    def look(self) -> None:
        """Tell of a checkpoint that has got to the disk. Raises CheckpointError when it has not."""
        if self._snapshots.async_saver.done:
            self._take()

    def finish(self) -> None:
        """Wait until all that was begun is on the disk. Raises CheckpointError."""
        while self.busy:
            self._take()

    def _take(self) -> None:
        if path := self._snapshots.async_saver.finish(lambda: self._client.heartbeat("saving a checkpoint")):
            self.last = str(path)
            self._tell(path)
