"""Names that several packages share."""

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")

Phase = Literal["train", "val", "val_subset", "norms"]
"""what a batch is used for; the images of ``val_subset`` are validation images, those of ``norms`` training images"""

Activation = Literal["relu", "mish", "silu"]
Interpolation = Literal["bilinear", "bicubic"]
RecipeChoice = Literal["auto", "classic", "modern"]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How a network differs from the published one: ``model.width``, ``activation``, ``blurpool``, ``crop``."""

    width: float = 1.0
    activation: Activation = "relu"
    blurpool: bool = False
    crop: int = 0
    """side of its input in pixels; 0: its share of the side of the images"""

    def __str__(self) -> str:
        """Return the differences, for people; empty if there are none.

        >>> str(Variant(width=1.5, activation="mish"))
        'width 1.5, mish'
        """
        width = f"width {self.width:g}" if self.width != 1 else ""
        activation = self.activation if self.activation != "relu" else ""
        return ", ".join(filter(None, [width, activation, "blurpool" if self.blurpool else ""]))

    def settings(self) -> dict[str, str]:
        """Return the values by name, as text of the configuration.

        >>> Variant(width=1.5).settings()
        {'width': '1.5', 'activation': 'relu', 'blurpool': 'false', 'crop': '0'}
        """
        return {name: str(value).lower() for name, value in vars(self).items()}


PUBLISHED = Variant()
