"""Configuration of the input: data set, augmentation and normalization."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from lib.config.field_type import Example
from lib.config.section import Constraint, Fraction, NonNegativeInt, PositiveFloat, PositiveInt, Section
from lib.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig(Section, prefix="data.synthetic."):
    """data.synthetic: the size of a data set of random images."""

    train: PositiveInt = 1280
    """number of training images"""

    val: PositiveInt = 256
    """number of validation images"""

    classes: PositiveInt = 1000
    """number of classes; labels are random"""


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section, prefix="data."):
    """data: where the images are and how they are read."""

    source: str = "hickle"
    """format of the data set: hickle (packed by preprocessing/generate_data.sh), jpeg_folder, lmdb, cifar10,
    cifar100, mnist, or synthetic (random images)"""

    dir: Path = Path("data")
    """folder of the data set"""

    misc_dir: Path = Path("misc")
    """folder of mean image, class names and manifest, and the cache of sources other than hickle; relative to
    data.dir"""

    img_size: PositiveInt = 256
    """side of the square images, in pixels (hickle: ignored, images keep the size they were packed with)"""

    resize: Literal["squash", "crop"] = "squash"
    """how an image becomes square. squash: stretch it; crop: take its central square (hickle: ignored, decided
    when packing)"""

    sampling: Literal["shuffled", "class_uniform"] = "shuffled"
    """shuffled: every image once per epoch; class_uniform: draw a random class, then a random image of it"""

    epoch_size: NonNegativeInt = 0
    """class_uniform: iterations per epoch; 0: as many as it takes to draw the number of training images"""

    shuffle: Literal["images", "files", "none"] = "images"
    """what is reordered each epoch. images: all images; files: the batch files, each read in its own order (for
    disks with slow random access); none: nothing"""

    slots: Annotated[PositiveInt, Constraint("be at least 2", lambda value: value >= 2)] = 8
    """batches that each loader prepares ahead of its trainer"""

    readers: PositiveInt = 6
    """reader threads per loader"""

    decoders: NonNegativeInt = 2
    """jpeg_folder, lmdb: decoder processes per loader; 0: decode in the loader itself, for debugging"""

    on_error: Literal["stop", "wait"] = "stop"
    """when images can no longer be read. stop: save a checkpoint and end the run; wait: retry with growing
    pauses for run.patience_s, then stop"""

    verify: bool = False
    """hickle: compare each batch file with its checksum when a loader first reads from it"""

    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epoch_size and self.sampling == "shuffled":
            raise ConfigError(
                f"data.epoch_size is {self.epoch_size}, but data.sampling shuffled uses every image once per epoch; "
                "set data.sampling to class_uniform or data.epoch_size to 0"
            )


@dataclass(frozen=True, kw_only=True)
class AugmentConfig(Section, prefix="augment."):
    """augment: random changes of the training images."""

    crop: Literal["random", "center", "resized"] = "random"
    """window of the training image. random: at a random place; center: in the middle; resized: of random area
    (8 to 100 %) and aspect ratio (3/4 to 4/3), stretched to the crop size"""

    mirror: bool = True
    """flip half of the training images horizontally"""

    per_image: bool = True
    """draw crop and flip for each image; false: once per batch"""

    color_jitter: Fraction = 0.0
    """change brightness, contrast and saturation by random factors in 1 -/+ this value; 0: off; usual: 0.4"""

    pca_lighting: Fraction = 0.0
    """shift colors along ImageNet's principal components by normal noise with this standard deviation; 0: off;
    usual: 0.1"""


@dataclass(frozen=True, kw_only=True)
class NormalizeConfig(Section, prefix="normalize."):
    """normalize: mean and standard deviation of the images."""

    mean: Literal["image", "channel", "none"] = "image"
    """what is subtracted from every image, in validation too. image: the mean image of the data set; channel: the
    mean of each channel of it; none: nothing"""

    std: Annotated[tuple[PositiveFloat, PositiveFloat, PositiveFloat], Example("[58.4, 57.12, 57.38]")] | None = None
    """what red, green and blue are divided by afterwards, in validation too, on a scale of 0 to 255; null: not
    divided; ImageNet: [58.4, 57.12, 57.38]"""
