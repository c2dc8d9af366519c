"""The position of a training."""

import math
from dataclasses import dataclass, field


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
