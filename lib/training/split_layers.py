"""Layers of a classifier whose columns are split over the workers, each computing its columns for the images of all.

The batch of all workers has N = world_size * ``batch_size`` rows: each worker's images, and zeros where a worker has
fewer. Rows without an image have no gradient, and do not count in a batch norm.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..exchange.activations import bytes_of
from ..exchange.base import Exchange
from .shares import Shares


class SharedBatch:
    """The batch of all workers, as the split layers see it. Numbers that change lie on the device, for CUDA graphs."""

    def __init__(self, shares: Shares, batch_size: int, device: torch.device) -> None:
        self.shares, self.batch_size = shares, batch_size
        self.seed, self.count = (torch.zeros((), dtype=torch.int64, device=device) for _ in range(2))
        """the seed of dropout, the same on all workers; the images of this worker"""
        self.images_N = torch.zeros(0, dtype=torch.int64, device=device)
        """the number of each row's image in the batch of all workers"""
        self._row = torch.arange(batch_size, device=device)
        self._counts_W = self.images_N

    def begin(self, seed: int, count: int) -> None:
        """Set what the next pass works on."""
        self.seed.fill_(seed)
        self.count.fill_(count)

    def number(self, counts: Sequence[Tensor], rows: int) -> None:
        """Set the image of each row, where each worker has ``rows`` of them and the first ``counts`` hold images."""
        if len(self._row) != rows:
            self._row = torch.arange(rows, device=self.count.device)
        self._counts_W = torch.stack(list(counts))
        first_W = self._counts_W.cumsum(0) - self._counts_W
        self.images_N = (first_W[:, None] + self._row).flatten()

    def rows_with_image(self) -> Tensor:
        """Return whether each row has an image, bool (N,)."""
        return (self._row < self._counts_W[:, None]).flatten()

    def __deepcopy__(self, _: dict[int, Any]) -> "SharedBatch":
        return self


class RowGather:
    """All workers' rows of ``features`` numbers, and back the sum of the gradients."""

    def __init__(self, exchange: Exchange, batch: SharedBatch, features: int, dtype: torch.dtype) -> None:
        self._batch, self._world_size = batch, batch.shares.world_size
        own = batch.batch_size
        self._forward = exchange.open_activations(bytes_of((own, features), dtype=dtype))
        self._backward = exchange.open_activations(bytes_of(*[(own, features)] * self._world_size, dtype=dtype))
        self.sent_bytes = 2 * (self._world_size - 1) * own * features * dtype.itemsize

    def forward(self, x_BC: Tensor) -> Tensor:
        """Return the rows (N, C) of all workers."""
        rows = max(self._batch.batch_size, len(x_BC))
        padded_BC = _fill_up(x_BC, rows)
        features, counts = self._forward.all_gather(padded_BC, self._batch.count)
        self._batch.number(counts, rows)
        return features[0] if len(features) == 1 else torch.cat(features)

    def backward(self, g_NC: Tensor) -> Tensor:
        """Return the gradient for this worker's rows, scaled as that of the mean over workers: see ``LogitsToRows``."""
        return self._backward.reduce_scatter(g_NC.chunk(self._world_size), scale=float(self._world_size))


class ColumnGather:
    """All workers' columns of a layer of ``columns`` columns, and back the sum of the gradients."""

    def __init__(self, exchange: Exchange, batch: SharedBatch, columns: int, dtype: torch.dtype) -> None:
        self._shares, self._columns = batch.shares, columns
        rows = batch.batch_size * self._shares.world_size
        self._forward = exchange.open_activations(bytes_of((rows, self._shares.width(columns)), dtype=dtype))
        others = columns - len(self._shares.own(columns))
        sent = len(self._shares.own(columns)) * (self._shares.world_size - 1) + others
        self.sent_bytes = rows * sent * dtype.itemsize
        shapes = [(rows, len(share)) for share in self._shares.columns(columns)]
        self._backward = exchange.open_activations(bytes_of(*shapes, dtype=dtype))

    def forward(self, x_Nw: Tensor) -> Tensor:
        """Return all columns (N, C)."""
        (shares,) = self._forward.all_gather(x_Nw)
        return self._shares.join(shares, self._columns)

    def backward(self, g_NC: Tensor) -> Tensor:
        """Return the gradient for this worker's columns (N, w)."""
        return self._shares.pad(self._backward.reduce_scatter(list(self._shares.parts(g_NC))), self._columns)


class LogitsToRows:
    """From this worker's classes of all images to all classes of this worker's images.

    The loss is scaled so that the mean over workers is that of all images. Gradients of split layers are summed over
    all images already, so their scale is divided by the number of workers here; ``RowGather`` multiplies it again.
    """

    def __init__(self, exchange: Exchange, batch: SharedBatch, classes: int, dtype: torch.dtype) -> None:
        self._batch, self._shares, self._classes = batch, batch.shares, classes
        rows = batch.batch_size * self._shares.world_size
        self._forward = exchange.open_activations(bytes_of((rows, self._shares.width(classes)), dtype=dtype))
        self._backward = exchange.open_activations(bytes_of((batch.batch_size, classes), dtype=dtype))
        own = len(self._shares.own(classes))
        sent = own * (self._shares.world_size - 1) + classes - own
        self.sent_bytes = batch.batch_size * sent * dtype.itemsize

    def forward(self, x_Nw: Tensor, count: int) -> Tensor:
        """Return the logits (count, K) of this worker's images."""
        (shares,) = self._forward.all_gather(x_Nw)
        rows = len(x_Nw) // self._shares.world_size
        own = slice(self._shares.rank * rows, self._shares.rank * rows + count)
        logits_BK = self._shares.join([share[own] for share in shares], self._classes)
        return logits_BK.clone() if len(shares) == 1 else logits_BK

    def backward(self, g_BK: Tensor) -> Tensor:
        """Return the gradient for this worker's classes of all images (N, w)."""
        rows = max(self._batch.batch_size, len(g_BK))
        padded_BK = _fill_up(g_BK / self._shares.world_size, rows)
        (gradients,) = self._backward.all_gather(padded_BK)
        columns = self._shares.own(self._classes)
        own = [gradient[:, columns.start : columns.stop] for gradient in gradients]
        return self._shares.pad(torch.cat(own), self._classes)


def _fill_up(x_BC: Tensor, rows: int) -> Tensor:
    """Return ``x_BC`` with rows of zeros behind it; itself if it has as many."""
    return x_BC if len(x_BC) == rows else functional.pad(x_BC, (0, 0, 0, rows - len(x_BC)))


def batch_norm(norm: nn.BatchNorm1d, x_NC: Tensor, valid_N: Tensor) -> Tensor:
    """Return what ``norm`` makes of the valid rows in training, and update its running statistics.

    Like ``lib.models.layers.BatchNorm1d``, a batch of one image uses the running statistics.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    x, valid_N1 = x_NC.float(), valid_N[:, None]
    count = valid_N.sum()
    mean = torch.where(valid_N1, x, 0.0).sum(0) / count
    variance = torch.where(valid_N1, x - mean, 0.0).square().sum(0) / count
    several = count > 1
    with torch.no_grad():
        share = torch.where(several, norm.momentum or 0.0, 0.0)
        norm.running_mean.lerp_(mean.nan_to_num(), share)
        norm.running_var.lerp_((variance * (count / (count - 1).clamp(min=1))).nan_to_num(), share)
        norm.num_batches_tracked.add_(several)
    mean = torch.where(several, mean, norm.running_mean.clone())
    variance = torch.where(several, variance, norm.running_var.clone())
    return ((x - mean) * torch.rsqrt(variance + norm.eps) * norm.weight + norm.bias).to(x_NC.dtype)
