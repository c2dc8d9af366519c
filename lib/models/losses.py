"""Losses of a network's outputs, and the outputs that count in evaluation."""

from functools import partial
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

# The logits (B, K) of most networks; some return a pair (main, auxiliary) of them in training.
Outputs = Tensor | tuple[Tensor, Tensor]


class MixedLabels(NamedTuple):
    """Two labels of each image, (B,): the first counts ``weight_B``, at least a half, and the second the rest."""

    first_B: Tensor
    second_B: Tensor
    weight_B: Tensor


Labels = Tensor | MixedLabels
"""one label of each image (B,), or two"""


def main_labels(labels: Labels) -> Tensor:
    """Return the label of each image that counts most, (B,)."""
    return labels if isinstance(labels, Tensor) else labels.first_B


# Weight of the loss of an auxiliary head, from GoogLeNet (arXiv:1409.4842).
AUXILIARY_WEIGHT = 0.3


def cross_entropy(
    outputs: Outputs, labels: Labels, label_smoothing: float = 0.0, class_weights_K: Tensor | None = None
) -> Tensor:
    """Return the cross-entropy of the main logits, summed over the images.

    ``label_smoothing`` is the fraction of each label that is spread over all classes (arXiv:1512.00567).
    ``class_weights_K`` says how much the loss of a label counts, smoothed part included.
    """
    loss = partial(functional.cross_entropy, main_logits(outputs), label_smoothing=label_smoothing)
    if isinstance(labels, Tensor) and class_weights_K is None:
        return loss(labels, reduction="sum")

    def of(label_B: Tensor) -> Tensor:
        loss_B = loss(label_B, reduction="none")
        return loss_B if class_weights_K is None else loss_B * class_weights_K[label_B]

    if isinstance(labels, Tensor):
        return of(labels).sum()
    return (labels.weight_B * of(labels.first_B) + (1 - labels.weight_B) * of(labels.second_B)).sum()


def with_auxiliary(
    outputs: Outputs, labels: Labels, label_smoothing: float = 0.0, class_weights_K: Tensor | None = None
) -> Tensor:
    """Return ``cross_entropy`` of the main logits plus ``AUXILIARY_WEIGHT`` times that of the auxiliary ones."""
    main, auxiliary = (cross_entropy(logits_BK, labels, label_smoothing, class_weights_K) for logits_BK in outputs)
    return main + AUXILIARY_WEIGHT * auxiliary


def main_logits(outputs: Outputs) -> Tensor:
    """Return the logits (B, K) that count in evaluation, in float32."""
    return (outputs if isinstance(outputs, Tensor) else outputs[0]).float()


HEAD_WEIGHTS: dict[str, tuple[float, ...]] = {
    "losses.cross_entropy": (1.0,),
    "losses.with_auxiliary": (1.0, AUXILIARY_WEIGHT),
}
"""for each loss of a ``ModelSpec``, how much the cross-entropy of each of the network's heads counts"""
