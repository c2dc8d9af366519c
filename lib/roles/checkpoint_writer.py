"""Checkpoints of a run: worker 0 writes them, while the training continues."""

from typing import NoReturn

from ..checkpoints.progress import Progress
from ..errors import AllDivergedError
from ..recording.recorder import NullRecorder
from ..runtime.process import Context
from .train_state import TrainState


class CheckpointWriter:
    """One worker's part in it. Worker 0's replica stands for all, so the other workers write nothing."""

    def __init__(self, context: Context, state: TrainState, recorder: NullRecorder) -> None:
        self._writes, self._client = context.rank == 0, context.client
        self._exchange, self._snapshots = state.exchange, state.snapshots
        self.recorder = recorder
        """records each checkpoint that is on the disk"""
        self.last = ""
        """the last checkpoint that was written; empty if none was"""

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._snapshots.async_saver.busy

    def begin(self, progress: Progress, *, soon: bool = False) -> None:
        """Start to write a checkpoint, once the one before is on the disk.

        With ``soon`` this does not wait, and the checkpoint is dropped if a newer one is started first.
        Called by all workers while their replicas are equal. Raises CheckpointError if the one before failed, and, on
        all workers, AllDivergedError rather than save weights that are not finite.
        """
        self._exchange.synchronize()
        if not soon:
            self.finish()
        if not self._snapshots.finite():
            self.diverged(f"the weights are NaN or infinite after iteration {progress.iteration}", progress)
        self._snapshots.save(progress, writes=self._writes)

    def diverged(self, what: str, progress: Progress) -> NoReturn:
        """Raise AllDivergedError. Called by all workers at the same point."""
        self.finish()  # this is the last good checkpoint: the one to name, or to go back to
        raise AllDivergedError(what, str(self._snapshots.diverged(what, progress)))

    def poll(self) -> None:
        """Report a checkpoint that is on the disk by now. Raises CheckpointError if it failed."""
        if self._snapshots.async_saver.done:
            self._take()

    def finish(self) -> None:
        """Wait until everything that was started is on the disk. Raises CheckpointError."""
        while self.busy:
            self._take()

    def _take(self) -> None:
        if path := self._snapshots.async_saver.finish(lambda: self._client.heartbeat("saving a checkpoint")):
            self.last = str(path)
            self.recorder.saved(path)
