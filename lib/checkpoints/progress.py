"""How far a training is."""

import math
from dataclasses import dataclass, field


@dataclass
class Progress:
    """How far a training is."""

    epoch: int = 0
    """epochs done"""
    iteration: int = 0
    """iterations done of the epoch in hand"""
    val_record: list[tuple[float, float]] = field(default_factory=list)
    """validation top-1 error (a fraction) and loss of each epoch done"""
    rollbacks: int = 0
    """how often the training went back to a checkpoint"""

    @property
    def val_errors(self) -> list[float]:
        """Validation top-1 error, a fraction, of each epoch done."""
        return [error for error, _ in self.val_record]

    @property
    def improved(self) -> bool:
        """Whether the last validation's error is below all before."""
        *before, last = self.val_errors or [math.inf]
        return last < min(before, default=math.inf)

    @property
    def is_best(self) -> bool:
        """Whether the network stands as it was validated, better than ever before."""
        return self.iteration == 0 and self.improved
