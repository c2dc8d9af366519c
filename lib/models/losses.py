"""What training minimises, as a function of a network's outputs, and what of them counts in an evaluation."""

from torch import Tensor
from torch.nn import functional

# The logits (B, K) of most networks; in training some return a pair (main, auxiliary) of them.
Outputs = Tensor | tuple[Tensor, Tensor]

# GoogLeNet's (arXiv:1409.4842): how much an auxiliary head's loss counts.
AUXILIARY_WEIGHT = 0.3


def cross_entropy(outputs: Outputs, labels_B: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Sum over the images of the cross-entropy of the main logits.

    ``label_smoothing`` is the share of each label that is spread over all classes (arXiv:1512.00567).
    """
    return functional.cross_entropy(main_logits(outputs), labels_B, reduction="sum", label_smoothing=label_smoothing)


def with_auxiliary(outputs: Outputs, labels_B: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """``cross_entropy`` of the main logits and, weighed by ``AUXILIARY_WEIGHT``, of the auxiliary ones."""
    main_BK, auxiliary_BK = outputs
    auxiliary = cross_entropy(auxiliary_BK, labels_B, label_smoothing)
    return cross_entropy(main_BK, labels_B, label_smoothing) + AUXILIARY_WEIGHT * auxiliary


def main_logits(outputs: Outputs) -> Tensor:
    """The logits (B, K) that count when the network is judged, in float32."""
    return (outputs if isinstance(outputs, Tensor) else outputs[0]).float()
