"""What a replica asks of a training step, however it is computed, and by which it is."""

import importlib.util
from typing import Protocol

import torch

from lib.config.schema import Config
from lib.data.upload import Batch
from lib.evaluation.metrics import Meter
from lib.models.losses import Outputs
from lib.models.registry import model_spec

# Kernels count the numbers of a layer in 32 bits, and AlexNet's largest layer has 290,400 an image.
MOST_FUSED = 4096


class Step(Protocol):
    """One network's forward and backward pass and its update, averaged with the other replicas."""

    def add_gradients(self, batch: Batch, meter: Meter, *, loss_scale: float, iteration: int, seed: int) -> None:
        """As ``Replica.add_gradients``; ``seed`` is that of dropout."""

    def update(self, *, rate: float, weight_decay: float) -> None:
        """As ``Replica.update``."""

    def outputs(self, batch: Batch) -> Outputs:
        """What the network makes of a batch, dropout off."""

    def refresh(self) -> None:
        """The weights have been changed by others."""


def why_not_fused(config: Config, device: torch.device) -> str:
    """Why ``lib.training.fused_step`` cannot compute this training; empty if it can."""
    reasons = {
        "it needs a GPU": device.type != "cuda",
        "compute.fused is false": not config.compute.fused,
        "compute.deterministic is true": config.compute.deterministic,
        f"{config.model.name} has no kernels of its own": not model_spec(config.model.name).fused,
        f"batch_size is more than {MOST_FUSED}": config.batch_size > MOST_FUSED,
        "optimizer.accumulate is not 1": config.optimizer.accumulate != 1,
        "model.freeze names parts": bool(config.model.freeze),
        "Triton is not installed": importlib.util.find_spec("triton") is None,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")
