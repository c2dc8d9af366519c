"""Names that several packages share."""

from typing import Literal

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")

Phase = Literal["train", "val", "val_subset"]
"""what a batch is used for; the images of ``val_subset`` are validation images"""
