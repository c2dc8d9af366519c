"""The position of a training."""

import math
from dataclasses import dataclass, field

from ..config.schema import RunConfig


@dataclass
class Progress:
    """The position of a training, with its validation results so far."""

    epoch: int = 0
    """completed epochs"""
    iteration: int = 0
    """completed iterations of the current epoch"""
    val_record: list[tuple[float, float]] = field(default_factory=list)
    """validation top-1 error (a fraction) and loss of each completed epoch"""
    rollbacks: int = 0
    """times the training returned to a checkpoint"""

    @property
    def val_errors(self) -> list[float]:
        """Validation top-1 error, a fraction, of each completed epoch."""
        return [error for error, _ in self.val_record]

    @property
    def improved(self) -> bool:
        """Whether the last validation error is the lowest so far."""
        *before, last = self.val_errors or [math.inf]
        return last < min(before, default=math.inf)

    @property
    def is_best(self) -> bool:
        """Whether the weights are those of the last validation, and its error is the lowest so far."""
        return self.iteration == 0 and self.improved

    @property
    def epochs_since_best(self) -> int:
        """Epochs that were validated after the one with the lowest error; of equal ones the first counts."""
        errors = self.val_errors
        return len(errors) - 1 - errors.index(min(errors)) if errors else 0

    def is_done(self, run: RunConfig) -> bool:
        """Whether all epochs are trained, or the last ``run.stop_after`` brought no better validation."""
        return self.epoch >= run.n_epochs or 0 < run.stop_after <= self.epochs_since_best

    def reason_done(self, run: RunConfig) -> str:
        """Return why nothing is left to do, and what to raise for more, for people."""
        if self.epoch >= run.n_epochs:
            return f"epoch {self.epoch} of {run.n_epochs} is done; raise run.n_epochs for more"
        return (
            f"the last {self.epochs_since_best} of {self.epoch} epochs brought no better validation; raise "
            "run.stop_after for more"
        )
