"""PreciseBN (arXiv:2105.07576): statistics of batch norms, measured before a validation on images as it has them.

Running averages of the training describe augmented images: enlarged, blurred by that, mixed. The statistics of
unaugmented ones differ, and with them the outputs of every layer.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..data.upload import Batch
from .split_classifier import SplitClassifier
from .step import Step

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@contextmanager
def measuring(network: nn.Module, frozen: Collection[nn.Module]) -> Iterator[None]:
    """Evaluate, except that norms not in ``frozen`` take each batch's statistics, and keep them as running ones."""
    network.eval()
    wholes = [module.whole.template for module in network.modules() if isinstance(module, SplitClassifier)]
    modules = [module for part in (network, *wholes) for module in part.modules()]
    norms = [module for module in modules if isinstance(module, _NORMS) and module not in frozen]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.eval()
            norm.momentum = momentum


@torch.no_grad()
def measure_norms(step: Step, batches: Iterable[Batch], *buffers: Tensor) -> None:
    """Set ``buffers``, the running statistics of the network of ``step``, to their mean over ``batches``."""
    totals, count = [torch.zeros_like(buffer) for buffer in buffers], 0
    for batch in batches:
        step.measure_norms(batch)
        for total, buffer in zip(totals, buffers, strict=True):
            total.add_(buffer)
        count += 1
    if count:
        for total, buffer in zip(totals, buffers, strict=True):
            buffer.copy_(total / count)
