"""Build the strategy by which replicas are averaged (exchange.*)."""

import torch

from ..config.schema import ExchangeConfig
from ..exchange.base import Exchange
from ..training.average_gradients import AverageGradients
from ..training.flat import FlatParameters
from ..training.optimizer import LinearOptimizer, Optimizer
from ..training.periodic_sync import Elastic, LocalSGD, moving_rate
from ..training.sync import AverageWeights, SyncStrategy


def build_sync(
    config: ExchangeConfig,
    optimizer: Optimizer,
    flat: FlatParameters,
    exchange: Exchange,
    world_size: int,
    clip_norm: float = 0.0,
) -> SyncStrategy:
    """Return the strategy that ``exchange.rule``, ``every``, ``alpha`` and ``what`` ask for."""
    if world_size == 1 or not config.replicas_differ:
        weights = config.what == "weights"
        if weights and not clip_norm and isinstance(optimizer, LinearOptimizer):
            return AverageWeights(optimizer, flat, exchange)
        exact = weights and world_size > 1 and flat.gradients.dtype != torch.float32
        mean = exchange.allocate(len(flat.gradients)) if exact else None
        return AverageGradients(optimizer, flat, exchange, mean=mean, clip_norm=clip_norm)
    if config.rule == "average":
        return LocalSGD(optimizer, flat, exchange, config.every)
    alpha = moving_rate(config, world_size)
    return Elastic(optimizer, flat, exchange, every=config.every, alpha=alpha, world_size=world_size)
