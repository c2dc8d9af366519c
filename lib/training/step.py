"""The training step: what the training loop asks of a network, however it is computed."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor

from ..data.upload import Batch
from ..evaluation.crops import log_probabilities
from ..evaluation.metrics import Meter
from ..models.losses import Outputs, cross_entropy, main_logits


class Step(Protocol):
    """One network's forward and backward pass and its update, averaged with the other replicas."""

    def gradients(self, batch: Batch, meter: Meter, *, loss_scale: float, iteration: int, seed: int) -> None:
        """Add the gradients of one batch to those of the next ``update``, and count the batch in ``meter``.

        ``loss_scale`` is workers / images of all workers in the update: it scales the summed loss so that the average
        over workers is the mean over all images. ``seed`` is that of dropout.
        """

    def update(self, lr: float, weight_decay: float) -> None:
        """Average with the other replicas as the sync strategy says, and update the weights."""

    def outputs(self, batch: Batch) -> Outputs:
        """Return the network's outputs for a batch, without dropout."""

    def measure_norms(self, batch: Batch) -> None:
        """Make the running statistics of norms those of one batch, which passes without dropout."""

    def refresh(self) -> None:
        """Recompute what is derived from the weights, after someone else has changed them."""

    def close(self) -> None:
        """Free what holds on to the exchange. The step is not used afterwards."""


@torch.no_grad()
def evaluate(step: Step, batches: Iterable[Batch], meter: Meter) -> None:
    """Count loss and errors over ``batches``: plain cross-entropy of the main logits, without dropout."""
    for batch in batches:
        if len(batch.labels_B):
            outputs = step.outputs(batch)
            meter.add(main_logits(outputs), batch.labels_B, cross_entropy(outputs, batch.labels_B), iteration=0)


@torch.no_grad()
def crop_log_probabilities(
    step: Step, batch: Batch, params_CV: Tensor, work: Callable[[], AbstractContextManager[object]]
) -> Tensor:
    """Return the log of each image's mean probabilities over the crops ``params_CV``, float64 (B, K).

    Each crop is computed inside ``work()``.
    """

    def logits(params_BV: Tensor) -> Tensor:
        with work():
            return main_logits(step.outputs(batch._replace(params_BV=params_BV)))

    return log_probabilities(logits, params_CV, len(batch.labels_B))
