"""Names that several packages share."""

from typing import Literal

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")

Phase = Literal["train", "val", "val_subset"]
"""what a batch is used for; the images of ``val_subset`` are validation images"""

MadeFor = Literal["auto", "torchvision", "caffe", "0..1", "0..255"]
"""the images that weights of other programs were trained on: see ``model.made_for``"""
