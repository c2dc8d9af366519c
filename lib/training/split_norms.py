"""Norms of whole tensors, of which each worker owns a share: LAMB scales the update of a tensor by them."""

from functools import reduce

import torch
from torch import Tensor

from ..exchange.activations import bytes_of
from ..exchange.base import Exchange
from .owned import OwnedParts


class SharedSquares:
    """Adds up over the workers the sums of squares of what they own.

    All workers call it for the same groups of parameters, after the last pass of an update, in a CUDA graph or not.
    """

    def __init__(self, parts: OwnedParts, exchange: Exchange) -> None:
        self._parts = parts
        size = bytes_of((len(parts.flat.parts(parts.flat.whole)), 2), dtype=torch.float32)
        # One for weights, one for the others, because they may follow each other: see lib.exchange.activations.
        self._weights, self._others = (exchange.open_activations(size) for _ in range(2))

    def __call__(self, group: slice, squares_T2: Tensor) -> Tensor:
        """Return the sums of squares of the whole tensors of ``group``, weights or others, from those of this worker.

        T is the number of tensors, of which those that are owned come first.
        """
        flat = self._parts.flat
        owned = sum(self._parts.owns(part) for part in flat.parts(group))
        if not owned:
            return squares_T2
        meeting = self._weights if group.start < flat.n_weights else self._others
        (shares,) = meeting.all_gather(squares_T2[:owned])
        return torch.cat([reduce(torch.add, shares), squares_T2[owned:]])
