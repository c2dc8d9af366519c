"""Softmax cross-entropy with its gradient, and the label's place among the logits, in one pass; sums in another.

Plain twins: ``lib.models.losses.cross_entropy`` and ``lib.recording.metrics_log.Meter``.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor


def cross_entropy(
    logits_BK: Tensor, labels_B: Tensor, count: Tensor, loss_scale: Tensor, smoothing: float, g_BK: Tensor
) -> tuple[Tensor, Tensor]:
    """Fill ``g_BK`` with the gradient of ``loss_scale`` times the summed loss; returns each image's loss and place.

    Only the first ``count`` images count (int64 on the device, as ``loss_scale`` is, float32): the others have loss and
    gradient 0. Losses are float32 (B,), places int32 (B,): see ``lib.recording.metrics_log.label_ranks``.
    """
    batch, classes = logits_BK.shape
    losses = torch.empty(batch, dtype=torch.float32, device=logits_BK.device)
    label_ranks = torch.empty(batch, dtype=torch.int32, device=logits_BK.device)
    _cross_entropy[(batch,)](
        logits_BK, labels_B, count, loss_scale, smoothing, g_BK, losses, label_ranks, classes,
        CLASSES=triton.next_power_of_2(classes),
    )  # fmt: skip
    return losses, label_ranks


def accumulate(
    losses_B: Tensor, ranks_B: Tensor, count: Tensor, iteration: Tensor, sums_4: Tensor, bad_at: Tensor
) -> None:
    """Add one batch to the sums of a ``Meter``: loss, wrong top-1, wrong top-5, images, float64.

    ``bad_at``, float64 (), becomes ``iteration`` where that is earlier and the loss is no number.
    """
    _add_up[(1,)](
        losses_B, ranks_B, count, iteration, sums_4, bad_at, len(losses_B),
        BLOCK=triton.next_power_of_2(len(losses_B)),
    )  # fmt: skip


@triton.jit
def _cross_entropy(
    logits, labels, count, loss_scale, smoothing, g, losses, label_ranks, classes, CLASSES: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, CLASSES)
    here = k < classes
    counts = row < tl.load(count)
    value = tl.load(logits + row * classes + k, here, float("-inf")).to(tl.float32)
    label = tl.load(labels + row)
    label = tl.where(counts, label, 0)  # beyond the batch may stand anything
    own = tl.sum(tl.where(k == label, value, 0.0), axis=0)
    highest = tl.max(value, axis=0)
    exponentials = tl.where(here, tl.exp(value - highest), 0.0)
    total = tl.sum(exponentials, axis=0)
    logarithm = highest + tl.log(total)
    mean = tl.sum(tl.where(here, value, 0.0), axis=0) / classes
    loss = logarithm - (1 - smoothing) * own - smoothing * mean
    target = tl.where(k == label, 1 - smoothing, 0.0) + smoothing / classes
    gradient = (exponentials / total - target) * tl.load(loss_scale)
    gradient = tl.where(counts, gradient, 0.0)
    ahead = here & ((value > own) | ((value == own) & (k < label)))
    place = tl.where(own == own, tl.sum(ahead.to(tl.int32), axis=0), classes)
    tl.store(g + row * classes + k, gradient.to(g.dtype.element_ty), here)
    tl.store(losses + row, tl.where(counts, loss, 0.0))
    tl.store(label_ranks + row, place)


@triton.jit
def _add_up(losses, label_ranks, count, iteration, sums, bad_at, batch, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    n = tl.load(count)
    here = i < tl.minimum(n, batch)
    loss = tl.sum(tl.load(losses + i, here, 0.0).to(tl.float64), axis=0)
    place = tl.load(label_ranks + i, here, 0)
    wrong1 = tl.sum((here & (place >= 1)).to(tl.int32), axis=0)
    wrong5 = tl.sum((here & (place >= 5)).to(tl.int32), axis=0)
    tl.store(sums, tl.load(sums) + loss)
    tl.store(sums + 1, tl.load(sums + 1) + wrong1)
    tl.store(sums + 2, tl.load(sums + 2) + wrong5)
    tl.store(sums + 3, tl.load(sums + 3) + n)
    finite = tl.abs(loss) < float("inf")
    earlier = tl.minimum(tl.load(bad_at), tl.load(iteration))
    tl.store(bad_at, tl.where(finite, tl.load(bad_at), earlier))
