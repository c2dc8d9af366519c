"""Softmax cross-entropy with its gradient and the rank of each label, in one pass; a batch's metrics, in another.

Plain twins: ``lib.models.losses.cross_entropy`` and ``lib.evaluation.metrics.Meter.add``.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor


def cross_entropy(
    logits_BK: Tensor,
    labels_B: Tensor,
    count: Tensor,
    loss_scale: Tensor,
    smoothing: float,
    g_BK: Tensor,
    weights_B: Tensor | None = None,
    class_weights_K: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Write the gradient of ``loss_scale`` times the summed loss to ``g_BK``; return losses and label ranks.

    ``logits_BK`` and ``g_BK`` are contiguous (B, K) of any floating dtype, ``labels_B`` int64 (B,). ``count``, int64
    (), is the number of images: loss and gradient of the rows beyond it are 0. ``loss_scale`` is float32 ().
    ``weights_B``, float32 (B,), is the weight of each image's own label if images are mixed in pairs, as in
    ``lib.data.augment.mixing``. ``class_weights_K``, float32 (K,), says how much the loss of a label counts. Returns
    losses, float32 (B,), and ranks, int32 (B,): the number of logits ahead of that of the label, or of the label with
    the larger weight; K if it is NaN.
    """
    batch, classes = logits_BK.shape
    losses_B = torch.empty(batch, dtype=torch.float32, device=logits_BK.device)
    ranks_B = torch.empty(batch, dtype=torch.int32, device=logits_BK.device)
    _cross_entropy[(batch,)](
        logits_BK, labels_B, weights_B, class_weights_K, count, loss_scale, smoothing, g_BK, losses_B, ranks_B, classes,
        MIXED=weights_B is not None, WEIGHTED=class_weights_K is not None, CLASSES=triton.next_power_of_2(classes),
    )  # fmt: skip
    return losses_B, ranks_B


def accumulate(
    losses_B: Tensor, ranks_B: Tensor, count: Tensor, iteration: Tensor, sums_4: Tensor, bad_at: Tensor
) -> None:
    """Add one batch, as returned by ``cross_entropy``, to the sums of a ``Meter``.

    ``sums_4``, float64 (4,), holds loss, top-1 errors, top-5 errors and images. If the loss is NaN or infinite,
    ``bad_at``, float64 (), becomes the smaller of itself and ``iteration``.
    """
    _accumulate[(1,)](
        losses_B, ranks_B, count, iteration, sums_4, bad_at, len(losses_B),
        BLOCK=triton.next_power_of_2(len(losses_B)),
    )  # fmt: skip


@triton.jit
def _cross_entropy(
    logits, labels, weights, class_weights, count, loss_scale, smoothing, g, losses, ranks, classes,
    MIXED: tl.constexpr, WEIGHTED: tl.constexpr, CLASSES: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, CLASSES)
    mask = k < classes
    n = tl.load(count)
    is_image = row < n
    value = tl.load(logits + row * classes + k, mask, float("-inf")).to(tl.float32)
    label = tl.load(labels + row)
    label = tl.where(is_image, label, 0)  # rows beyond the batch may hold any label
    if MIXED:
        other = tl.load(labels + tl.where(is_image, tl.minimum(row ^ 1, n - 1), 0))
        other = tl.where(is_image, other, 0)
        weight = tl.load(weights + row)
        less = weight < 0.5
        second = tl.where(less, label, other)
        label = tl.where(less, other, label)
        weight = tl.where(less, 1 - weight, weight)
    own = tl.sum(tl.where(k == label, value, 0.0), axis=0)
    highest = tl.max(value, axis=0)
    exponentials = tl.where(mask, tl.exp(value - highest), 0.0)
    total = tl.sum(exponentials, axis=0)
    log_sum_exp = highest + tl.log(total)
    mean = tl.sum(tl.where(mask, value, 0.0), axis=0) / classes
    counts = 1.0  # how much the image counts, and how much each of its labels
    first = 1.0
    if MIXED:
        first = weight
        rest = 1 - weight
    if WEIGHTED:
        first *= tl.load(class_weights + label)
        counts = first
        if MIXED:
            rest *= tl.load(class_weights + second)
            counts += rest
    labeled = first * own
    chosen = tl.where(k == label, first, 0.0)
    if MIXED:
        labeled += rest * tl.sum(tl.where(k == second, value, 0.0), axis=0)
        chosen += tl.where(k == second, rest, 0.0)
    loss = counts * (log_sum_exp - smoothing * mean) - (1 - smoothing) * labeled
    target = (1 - smoothing) * chosen + counts * smoothing / classes
    gradient = (counts * exponentials / total - target) * tl.load(loss_scale)
    gradient = tl.where(is_image, gradient, 0.0)
    ahead = mask & ((value > own) | ((value == own) & (k < label)))
    rank = tl.where(own == own, tl.sum(ahead.to(tl.int32), axis=0), classes)
    tl.store(g + row * classes + k, gradient.to(g.dtype.element_ty), mask)
    tl.store(losses + row, tl.where(is_image, loss, 0.0))
    tl.store(ranks + row, rank)


@triton.jit
def _accumulate(losses, ranks, count, iteration, sums, bad_at, batch, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    n = tl.load(count)
    mask = i < tl.minimum(n, batch)
    loss = tl.sum(tl.load(losses + i, mask, 0.0).to(tl.float64), axis=0)
    rank = tl.load(ranks + i, mask, 0)
    wrong1 = tl.sum((mask & (rank >= 1)).to(tl.int32), axis=0)
    wrong5 = tl.sum((mask & (rank >= 5)).to(tl.int32), axis=0)
    tl.store(sums, tl.load(sums) + loss)
    tl.store(sums + 1, tl.load(sums + 1) + wrong1)
    tl.store(sums + 2, tl.load(sums + 2) + wrong5)
    tl.store(sums + 3, tl.load(sums + 3) + n)
    finite = tl.abs(loss) < float("inf")
    earlier = tl.minimum(tl.load(bad_at), tl.load(iteration))
    tl.store(bad_at, tl.where(finite, tl.load(bad_at), earlier))
