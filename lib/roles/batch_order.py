"""The order of a run's batches, from its configuration. Imports no torch, as loaders use it too."""

from ..config.schema import Config
from ..data.order import BatchOrder


def batch_order(config: Config) -> BatchOrder:
    """Return what decides the images of each batch of this run."""
    return BatchOrder.of(
        config.data,
        config.augment,
        config.run,
        config.logging,
        batch_size=config.batch_size,
        world_size=config.world_size,
        norm_images=config.model.precise_bn,
    )
