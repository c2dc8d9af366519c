"""A training as a checkpoint, and back: how replica and progress become one, and when one is due."""

import time
from functools import partial
from pathlib import Path

import torch

from ..checkpoints import checkpoint
from ..checkpoints.async_saver import AsyncSaver
from ..checkpoints.checkpoint import Checkpoint, Identity, Preparation
from ..checkpoints.classes import check_same_order
from ..checkpoints.folder import CheckpointFolder
from ..checkpoints.progress import Progress
from ..checkpoints.tensor_checks import check_fit
from ..config.schema import RunConfig
from ..errors import CheckpointError, DivergedError
from ..exchange.base import Exchange
from .replica import Replica
from .replica_state import SavedTensors


class Snapshots:
    """Saves and restores the training of one replica."""

    def __init__(
        self,
        run: RunConfig,
        identity: Identity,
        preparation: Preparation,
        replica: Replica,
        total_batch_size: int,
        order: str,
        *,
        optimizer: str = "sgd",
        by_name: bool = True,
    ) -> None:
        """``optimizer`` is the name of the replica's.

        ``by_name`` says that a checkpoint's classes must have the names of ``preparation``'s.
        """
        self.folder = CheckpointFolder(run.weights_dir / "checkpoints", run.keep)
        self._run, self._identity, self._preparation, self._replica = run, identity, preparation, replica
        self._total_batch_size, self._order, self._by_name = total_batch_size, order, by_name
        self._optimizer = optimizer
        self._saved_at = time.monotonic()
        self.async_saver = AsyncSaver()
        """writes what ``save`` started; finish it before asking for the latest checkpoint"""

    def start(self) -> Path | None:
        """Return the checkpoint that ``run.resume`` asks to continue from; None for new weights."""
        if self._run.resume == "never":
            return None
        if self._run.resume == "auto":
            return self.folder.latest()
        path = Path(self._run.resume)
        if not path.exists():
            raise CheckpointError(f"there is no checkpoint {path}; run.resume is auto, never or a checkpoint's path")
        return path

    def require_room(self) -> None:
        """Raise CheckpointError if the disk is full: better now than after the first epoch."""
        self.folder.require_space(self._nbytes)

    def advice_on_room(self) -> str:
        """Return a warning about a disk that may become full, or an empty text."""
        return self.folder.space_warning(self._nbytes)

    @property
    def _nbytes(self) -> int:
        whole = self._replica.state.whole
        slots = [value for slot in whole.slots.values() for value in slot.values()]
        saved = (*whole.parameters.values(), *whole.momentum.values(), *slots, self._preparation.mean)
        return sum(int(tensor.nbytes) for tensor in saved)

    def due(self) -> bool:
        """Return whether the last checkpoint is ``run.snapshot_minutes`` old."""
        minutes = self._run.snapshot_minutes
        return minutes > 0 and time.monotonic() - self._saved_at >= 60 * minutes

    def save(self, progress: Progress, *, writes: bool = True) -> None:
        """Copy the training's current state, and start to write it as a checkpoint while the training continues.

        Called within ``SyncStrategy.synchronized``, by all workers, of which one ``writes``.
        """
        self.async_saver.discard_pending()
        tensors = self._replica.state.collect(writes=writes)
        if tensors is None:
            return
        saved = Checkpoint(
            identity=self._identity,
            preparation=self._preparation,
            seed=self._run.seed,
            total_batch_size=self._total_batch_size,
            order=self._order,
            epoch=progress.epoch,
            iteration=progress.iteration,
            rollbacks=progress.rollbacks,
            val_record=torch.tensor(progress.val_record, dtype=torch.float64).reshape(-1, 2),
            parameters=tensors.parameters,
            momentum=tensors.momentum,
            optimizer=self._optimizer,
            updates=self._replica.flat.updates,
            slots=tensors.slots,
            other_state=tensors.other,
        )
        base_epoch = self._base_epoch(progress) if self._run.on_nan == "rollback" else None
        self.async_saver.begin(partial(self.folder.save, saved, is_best=progress.is_best, base_epoch=base_epoch))
        self._saved_at = time.monotonic()

    def finite(self) -> bool:
        """Return whether all weights and momentum are finite, the same on all workers. Waits for the device."""
        return self._replica.state.finite()

    def rollback_target(self, progress: Progress) -> Path | None:
        """Return the checkpoint to go back to: that of the last epoch that ``run.snapshot_freq`` saves.

        Others depend on when the run was stopped and on the clock, so they would not lead to the same training. Only
        where that one is missing, because the run began later, return the earliest one after it. None if there is none.
        """
        return self.folder.base(self._base_epoch(progress), (progress.epoch, progress.iteration))

    def _base_epoch(self, progress: Progress) -> int:
        return progress.epoch - progress.epoch % self._run.snapshot_freq

    def restore(self, path: Path) -> Progress:
        """Load the checkpoint at ``path`` into the replica. Return its progress.

        Raises CheckpointError if it cannot be read or belongs to another training.
        """
        saved = checkpoint.load(path)
        checkpoint.check_identity(path, saved.identity, self._identity)
        checkpoint.check_preparation(path, saved.preparation, self._preparation)
        if self._by_name:
            check_same_order(path, saved.preparation.folders, self._preparation.folders)
        checkpoint.check_optimizer(path, saved.optimizer, self._optimizer)
        if saved.iteration:
            self._refuse_other_order(path, saved)
        state = self._replica.state
        check_fit(path, saved.parameters, state.whole.parameters, CheckpointError)
        if not saved.momentum.keys() & state.whole.momentum.keys():
            raise CheckpointError(f"{path} has no momentum of the trained parameters; use it as model.weights instead")
        state.load(SavedTensors(saved.parameters, saved.momentum, saved.slots, saved.other_state))
        self._replica.flat.updates = saved.updates
        record = [(float(error), float(loss)) for error, loss in saved.val_record.tolist()]
        return Progress(saved.epoch, saved.iteration, record, saved.rollbacks)

    def _refuse_other_order(self, path: Path, saved: Checkpoint) -> None:
        """Raise CheckpointError if the rest of the epoch would not be the images that the checkpoint has not seen."""
        if saved.total_batch_size != self._total_batch_size:
            here = f"{self._total_batch_size} (batch_size x workers)"
            found, keep = f"of iterations of {saved.total_batch_size} images; here they have {here}", "that product"
        elif saved.seed != self._run.seed:
            found, keep = f"ordered by run.seed {saved.seed}; here that is {self._run.seed}", "that seed"
        elif saved.order not in (self._order, ""):
            found, keep = f"ordered by {saved.order}; here that is {self._order}", "that key"
        else:
            return
        raise CheckpointError(
            f"{path} lies within an epoch {found}, so some images would come twice and others never: "
            f"keep {keep}, or continue from a checkpoint at an epoch's end"
        )

    def diverged(self, what: str, progress: Progress) -> DivergedError:
        """Return the error to raise when loss or weights are not finite."""
        latest = self.folder.latest()
        kept = f"the last good checkpoint is {latest}" if latest else "there is no checkpoint yet"
        return DivergedError(
            f"{what} of epoch {progress.epoch + 1}; {kept}; lower optimizer.learning_rate and start again"
        )


def broadcast_progress(progress: Progress, replica: Replica, exchange: Exchange) -> Progress:
    """Copy worker 0's replica and progress to every worker: only worker 0 needs access to the checkpoint's disk."""
    flat = replica.flat
    counts = [progress.epoch, progress.iteration, progress.rollbacks, len(progress.val_record), flat.updates]
    epoch, iteration, rollbacks, n_records, flat.updates = map(int, exchange.all_gather(counts)[0])
    records = [value for record in progress.val_record for value in record] or [0.0] * 2 * n_records
    first = exchange.all_gather(records)[0]
    replica.state.distribute(exchange)
    replica.refresh()
    return Progress(epoch, iteration, list(zip(first[::2], first[1::2], strict=True)), rollbacks)
