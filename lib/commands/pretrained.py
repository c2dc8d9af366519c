"""Weights that a training starts from and that must be downloaded."""

from importlib import import_module

from ..config.schema import Config


def fetch_weights(config: Config) -> None:
    """Download torchvision's weights before processes start, which would not wait for them for an hour.

    A training that continues from a checkpoint needs none. Raises WeightsError.
    """
    run, weights = config.run, str(config.model.weights)
    continues = (run.weights_dir / "checkpoints/latest").exists() if run.resume == "auto" else run.resume != "never"
    if not continues and weights.partition(":")[0] == "torchvision":
        torchvision = import_module("..formats.torchvision", __package__)  # imports torch, for these trainings only
        torchvision.fetch(weights, config.model.name)
