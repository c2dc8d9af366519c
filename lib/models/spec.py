"""The entry of a network in the registry. It imports torch only to build one, because the command line reads it too."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ..errors import ConfigError
from ..types import PUBLISHED, RecipeChoice, Variant
from .recipes import MODERN, Recipe


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A network: where its code is, its size, its source and its recipe."""

    network: str
    """its class or function (n_classes, crop, **options) -> nn.Module, as module.name in lib.models"""
    options: Mapping[str, Any] = field(default_factory=dict)
    """arguments that differ between networks of one family"""
    parameters: int
    """number of parameters with 1,000 classes at its crop"""
    crop: int
    """side of the window cut from an image of ``img_size``; for other sizes in proportion"""
    img_size: int = 256
    """side of the images that the network was made for"""
    min_crop: int
    """smallest window for which every layer has an output"""
    source: str
    """where its layers and initial weights were published"""
    recipe: Recipe
    """how it was trained there"""
    modern: Recipe = MODERN
    """how one would train it today, but for the normalization of images"""
    default_recipe: Literal["classic", "modern"] = "classic"
    """which of the two gives the defaults of the configuration, unless ``model.recipe`` says"""
    loss: str = "losses.cross_entropy"
    """loss function (outputs, labels, label_smoothing, class_weights_K) -> sum over the images, as module.name in
    lib.models"""
    any_size: bool = False
    """whether it takes images of any size, of at least ``min_crop``"""
    variable: tuple[str, ...] = ()
    """fields of ``Variant`` that ``network`` takes as arguments"""
    fused: str = ""
    """class of its version with fused kernels, for GPUs, as module.name in lib.models (see lib.training.captured_step);
    empty: none"""

    def chosen_recipe(self, choice: RecipeChoice) -> Recipe:
        """Return the recipe that ``model.recipe`` chooses. Both normalize images alike: initial weights expect it."""
        name = self.default_recipe if choice == "auto" else choice
        return self.recipe if name == "classic" else replace(self.modern, normalize=self.recipe.normalize)

    def build(self, n_classes: int, crop: int, init: str = "default", variant: Variant = PUBLISHED) -> Any:
        """Return the network, an nn.Module, with initial weights from torch's default generator.

        It takes normalized images (B, 3, crop, crop) and returns logits (B, n_classes). ``init`` is as for
        ``lib.models.layers.redraw_convolutions``. Raises ConfigError if there is no such ``variant``.
        """
        self.check_variant(variant)
        changes = {name: getattr(variant, name) for name in self.variable}
        model = _find(self.network)(n_classes, crop, **self.options, **changes)
        _find("layers.redraw_convolutions")(model, init)
        _find("activations.replace_activations")(model, variant.activation)
        return model

    def check_variant(self, variant: Variant) -> None:
        """Raise ConfigError if the network has no such variant."""
        for name in ("width", "blurpool"):
            value, published = getattr(variant, name), getattr(PUBLISHED, name)
            if value != published and name not in self.variable:
                raise ConfigError(
                    f"model.{name} is {value}, which only ResNets take; choose one with model.name, or set "
                    f"model.{name} to {published}"
                )

    def check_sizes(self, sizes: Sequence[int], crop: int) -> None:
        """Raise ConfigError if the network cannot be trained on images of these sizes, and evaluated on ``crop``."""
        if sizes and sizes[-1] > crop:
            raise ConfigError(
                f"augment.sizes ends with {sizes[-1]}, but the network's input is {crop} x {crop}; set model.crop to "
                f"{sizes[-1]}, or the last size to at most {crop}"
            )
        if sizes and not self.any_size:
            raise ConfigError(f"augment.sizes is {list(sizes)}, but only ResNets take it; set it to []")
        if sizes and sizes[0] < self.min_crop:
            raise ConfigError(f"augment.sizes begins with {sizes[0]}; this network needs at least {self.min_crop}")

    def class_tensors(self, crop: int, variant: Variant = PUBLISHED) -> list[str]:
        """Return the names of the parameters and buffers that have one row per class."""
        with importlib.import_module("torch").device("meta"):
            two, three = (self.build(n_classes, crop, variant=variant).state_dict() for n_classes in (2, 3))
        return [name for name, value in two.items() if value.shape != three[name].shape]

    def loss_function(self) -> Any:
        """Return the function that ``loss`` names."""
        return _find(self.loss)

    def fused_network(self) -> Any:
        """Return the class that ``fused`` names: (network, crop, weights, gradients) -> FusedNetwork."""
        return _find(self.fused)

    @property
    def min_img_size(self) -> int:
        """Side of the smallest images whose crop the network takes."""
        return -(-self.min_crop * self.img_size // self.crop)

    def crop_of(self, img_size: int, variant: Variant = PUBLISHED) -> int:
        """Return the side of the window for images of ``img_size`` pixels. Raises ConfigError if it is too small."""
        if variant.crop:
            if self.min_crop <= variant.crop <= img_size:
                return variant.crop
            raise ConfigError(
                f"model.crop is {variant.crop}, but this network and images of {img_size} x {img_size} take "
                f"{self.min_crop} to {img_size}"
            )
        crop = round(img_size * self.crop / self.img_size)
        if crop < self.min_crop:
            raise ConfigError(
                f"images of {img_size} x {img_size} give a crop of {crop}, but this network needs at least "
                f"{self.min_crop}; use data.img_size {self.min_img_size} or more "
                "(hickle: pack so)"
            )
        return crop


def _find(name: str) -> Any:
    module, _, attribute = name.partition(".")
    return getattr(importlib.import_module(f".{module}", __package__), attribute)
