"""Names that several packages share."""

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")

Phase = Literal["train", "val", "val_subset"]
"""what a batch is used for; the images of ``val_subset`` are validation images"""

Activation = Literal["relu", "mish", "silu"]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How a network differs from the published one: see ``model.width``, ``model.activation``, ``model.blurpool``."""

    width: float = 1.0
    activation: Activation = "relu"
    blurpool: bool = False

    def __str__(self) -> str:
        """Return the differences, for people; empty if there are none.

        >>> str(Variant(width=1.5, activation="mish"))
        'width 1.5, mish'
        """
        width = f"width {self.width:g}" if self.width != 1 else ""
        activation = self.activation if self.activation != "relu" else ""
        return ", ".join(filter(None, [width, activation, "blurpool" if self.blurpool else ""]))


PUBLISHED = Variant()
