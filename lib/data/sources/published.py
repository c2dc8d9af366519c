"""Defaults of published data sets, for every network: the size of their images, and no mirrored digits."""

from pathlib import Path
from typing import Any

from ...models.spec import ModelSpec

MARKS = {"cifar10": "data_batch_1.bin", "cifar100": "fine_label_names.txt", "mnist": "train-images-idx3-ubyte*"}
"""a file that only the data set of this source has"""

_SIDES = {"cifar10": 32, "cifar100": 32, "mnist": 28}


def published_kind(source: str, dir: Path) -> str:
    """Return which published data set ``data.source`` and ``data.dir`` mean; empty if another."""
    if source != "auto":
        return source if source in MARKS else ""
    return next((name for name, mark in MARKS.items() if dir.is_dir() and any(dir.glob(mark))), "")


def own_defaults(kind: str, spec: ModelSpec) -> dict[str, Any]:
    """Return the settings that this data set has with a network, by dotted key.

    The size is that of its images, or the smallest that the network takes.
    """
    if not kind:
        return {}
    mirror = {"augment.mirror": False} if kind == "mnist" else {}
    return {"data.img_size": max(_SIDES[kind], spec.min_img_size)} | mirror
