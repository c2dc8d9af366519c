"""The training step of a network whose classifier is split over the workers."""

from ..data.upload import Batch
from ..evaluation.metrics import Meter
from ..models.losses import Outputs
from .split_layers import SharedBatch
from .step import Step


class SplitStep:
    """``Step`` that tells ``shared``, the batch of all workers, what the pass of ``step`` works on.

    ``seed`` must be the same on all workers. All of them call ``gradients`` for each iteration, with or without images.
    """

    def __init__(self, step: Step, shared: SharedBatch) -> None:
        self._step, self._shared = step, shared

    def gradients(self, batch: Batch, meter: Meter, *, loss_scale: float, iteration: int, seed: int) -> None:
        self._shared.begin(seed, len(batch.labels_B))
        self._step.gradients(batch, meter, loss_scale=loss_scale, iteration=iteration, seed=seed)

    def update(self, lr: float, weight_decay: float) -> None:
        self._step.update(lr, weight_decay)

    def outputs(self, batch: Batch) -> Outputs:
        return self._step.outputs(batch)

    def measure_norms(self, batch: Batch) -> None:
        self._step.measure_norms(batch)

    def refresh(self) -> None:
        self._step.refresh()

    def close(self) -> None:
        self._step.close()
