"""What belongs to one network. Without torch until something is built: the command line reads these too."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lib.errors import ConfigError
from lib.models.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One network: where it stands, what it was made for, and how it is trained."""

    network: str
    """its class or function as module.name in lib.models, imported when it is built:
    (n_classes, crop, **options) -> network"""

    options: Mapping[str, Any] = field(default_factory=dict)
    """what tells it from others of its family"""

    parameters: int
    """how many it has with 1,000 classes at its crop"""

    crop: int
    """side of the window cut from a 256 x 256 image; smaller images get one in proportion"""

    min_crop: int
    """smallest window that is taken: every layer still has an output"""

    source: str
    """where layers and initial values come from"""

    recipe: Recipe
    """how it was trained; the configuration may override each value"""

    loss: str = "losses.cross_entropy"
    """what training minimises, as module.name in lib.models:
    (outputs, labels_B, label_smoothing) -> sum over the images"""

    fused: str = ""
    """its twin in kernels of its own, for GPUs, as module.name in lib.models: see lib.training.fused_step; or none"""

    def build(self, n_classes: int, crop: int, init: str = "default") -> Any:
        """The network, an nn.Module, its weights drawn from torch's default generator.

        Images (B, 3, crop, crop), 0 to 255 less the mean image, to logits (B, n_classes). ``init`` other than
        default: see ``lib.models.initial``.
        """
        model = _find(self.network)(n_classes, crop, **self.options)
        _find("initial.draw")(model, init)
        return model

    def loss_function(self) -> Any:
        """What ``loss`` names."""
        return _find(self.loss)

    def fused_network(self) -> Any:
        """What ``fused`` names: (network, crop, weights, gradients) -> lib.training.fused_step.FusedNetwork."""
        return _find(self.fused)

    def crop_of(self, img_size: int) -> int:
        """The window for images of ``img_size`` pixels a side. Raises ConfigError when that is too small."""
        crop = round(img_size * self.crop / 256)
        if crop < self.min_crop:
            raise ConfigError(
                f"images of {img_size} x {img_size} give a crop of {crop}, but this network needs at least "
                f"{self.min_crop}; use data.img_size {-(-self.min_crop * 256 // self.crop)} or more (hickle: to pack)"
            )
        return crop


def _find(name: str) -> Any:
    module, _, attribute = name.partition(".")
    return getattr(importlib.import_module(f"lib.models.{module}"), attribute)
