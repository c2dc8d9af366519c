"""The configuration of what a network is fed: images, and the views that are cut from them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lib.config.checks import at_least, positive
from lib.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """data.synthetic: the size of a data set of random images."""

    train: int = 1280
    """training images"""

    val: int = 256
    """validation images"""

    classes: int = 1000
    """classes, to which images belong at random"""

    def __post_init__(self) -> None:
        for key in ("train", "val", "classes"):
            at_least(f"data.synthetic.{key}", getattr(self, key), 1)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """data: where the images are and how they are read."""

    source: str = "hickle"
    """what the images lie in: hickle (packed by preprocessing/generate_data.sh), jpeg_folder, lmdb,
    cifar10, cifar100, mnist, or synthetic (made up); lib/data/sources/registry.py lists them"""

    dir: Path = Path("data")
    """folder of the data set"""

    misc_dir: Path = Path("misc")
    """where its mean image, class names and manifest lie, or what is kept of a data set that is read
    as it is; relative to dir"""

    img_size: int = 256
    """side of the square images, in pixels (hickle: that of the packed images, whatever this says)"""

    resize: Literal["squash", "crop"] = "squash"
    """how a picture becomes square: ignoring its aspect, or by its central square (hickle: as packed)"""

    sampling: Literal["shuffled", "class_uniform"] = "shuffled"
    """shuffled: every image once an epoch; class_uniform: a class at random, then one of its images,
    again and again"""

    epoch_size: int = 0
    """class_uniform: iterations in an epoch; 0: as many as take the number of training images"""

    shuffle: Literal["images", "files", "none"] = "images"
    """what is put in a new order each epoch: every image; the batch files, each read in its own
    order (for disks that dislike random reads); or nothing"""

    slots: int = 8
    """batches a loader may hold ready ahead of its trainer"""

    readers: int = 6
    """threads with which a loader reads"""

    decoders: int = 2
    """jpeg_folder, lmdb: processes with which a loader decodes; 0: none but itself, to look for faults"""

    on_error: Literal["stop", "wait"] = "stop"
    """what to do when images can no longer be read. stop: save a checkpoint and end the run; wait: try
    again with growing pauses for run.patience_s, then stop"""

    verify: bool = False
    """hickle: compare each batch file with its checksum when a loader first reads from it"""

    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)

    def __post_init__(self) -> None:
        at_least("data.img_size", self.img_size, 1)
        at_least("data.epoch_size", self.epoch_size, 0)
        at_least("data.slots", self.slots, 2)
        at_least("data.readers", self.readers, 1)
        at_least("data.decoders", self.decoders, 0)
        if self.epoch_size and self.sampling == "shuffled":
            raise ConfigError(
                "data.epoch_size is for data.sampling class_uniform; shuffled takes every image once an epoch"
            )


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """augment: random changes of training images."""

    crop: Literal["random", "center", "resized"] = "random"
    """train on a window cut at random, on the centre, or on a window of random area (8 to 100 %) and
    ratio (3/4 to 4/3) that is stretched"""

    mirror: bool = True
    """train on images mirrored left to right half of the time"""

    per_image: bool = True
    """draw for each image (false: once for a whole batch)"""

    color_jitter: float = 0.0
    """change brightness, contrast and saturation by factors of up to 1 -/+ this; 0.4 is usual; 0: never"""

    pca_lighting: float = 0.0
    """move colours along ImageNet's principal components, normally distributed with this deviation;
    0.1 is usual; 0: never"""

    def __post_init__(self) -> None:
        for key in ("color_jitter", "pca_lighting"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(f"augment.{key} is {getattr(self, key):g}; it must lie between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class NormalizeConfig:
    """normalize: what is subtracted from each image, and what it is divided by."""

    mean: Literal["image", "channel", "none"] = "image"
    """what every image loses, in validation too: the data set's mean image, that image's mean of each
    channel, or nothing"""

    std: tuple[float, float, float] | None = None
    """what red, green and blue are divided by after that, in validation too, on a scale of 0 to 255
    (ImageNet's: [58.4, 57.12, 57.38]); null: nothing"""

    def __post_init__(self) -> None:
        for deviation in self.std or ():
            positive("normalize.std", deviation)
