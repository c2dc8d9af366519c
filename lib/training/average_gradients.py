"""The sync strategy of updates that need the averaged gradient: those that are not linear in it, and clipped ones."""

import torch
from torch import Tensor

from ..exchange.base import Exchange
from .flat import FlatParameters
from .optimizer import Optimizer
from .sync import EveryUpdate


class AverageGradients(EveryUpdate):
    """Averages gradients before the update, in their own dtype or, if that is another, in that of ``mean`` (N,).

    With ``clip_norm`` the mean gradient of the whole network is scaled down to that norm if it is longer, and all
    parameters are updated after the last segment.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        flat: FlatParameters,
        exchange: Exchange,
        *,
        mean: Tensor | None = None,
        clip_norm: float = 0.0,
    ) -> None:
        super().__init__(optimizer, flat, exchange)
        self._mean, self._clip_norm = mean, clip_norm

    def update(self, segment: slice) -> None:
        whole = self._flat.whole
        if not self._clip_norm:
            self._optimizer.step(segment, self._average(segment))
        else:
            self._average(segment)
            if segment.stop == whole.stop:
                gradient = self._flat.gradients if self._mean is None else self._mean
                clip(gradient, self._clip_norm)
                self._optimizer.step(whole, () if self._mean is None else [gradient])
        self._average_buffers_after(segment)

    def _average(self, segment: slice) -> list[Tensor]:
        """Average a segment; return what its mean is the mean of, if that is not in the gradients now."""
        gradients = self._flat.gradients[segment]
        if self._mean is None:
            self._exchange.all_reduce_mean(gradients)
            return []
        if not self._clip_norm and (gathered := self._exchange.gather(gradients)):
            return gathered
        mean = self._mean[segment]
        mean.copy_(gradients)
        self._exchange.all_reduce_mean(mean)
        return [mean]


def clip(gradient: Tensor, max_norm: float) -> None:
    """Scale ``gradient`` (N,) down to ``max_norm`` if it is longer, in place. A CUDA graph may capture it."""
    norm = torch.linalg.vector_norm(gradient, dtype=torch.float32)
    gradient.mul_((max_norm / norm).clamp(max=1.0))
