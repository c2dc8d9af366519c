"""How the networks were trained by those who made them: defaults that the configuration may override.

A rate belongs to the number of images an update that it was found for, which each recipe states.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from lib.config.schema import AugmentConfig, Config, NormalizeConfig, OptimizerConfig, Regime, ScheduleConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to train: the values of all keys that belong to it."""

    source: str
    """where it was found"""

    images: int
    """images an update there, over all workers"""

    scales: bool = False
    """whether its rate goes in proportion to the images an update, as its source has it"""

    n_epochs: int
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    normalize: NormalizeConfig = field(default_factory=NormalizeConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    def settings(self, images: int) -> dict[str, Any]:
        """Dotted key -> value, for a run with so many images an update.

        >>> THEANO.settings(128)["run.n_epochs"], THEANO.settings(128)["optimizer.learning_rate"]
        (60, 0.01)
        >>> SQUEEZENET.settings(128)["optimizer.learning_rate"]
        0.01
        """
        return {
            "run.n_epochs": self.n_epochs,
            **dict(dotted(self.augment, "augment.")),
            **dict(dotted(self.normalize, "normalize.")),
            **dict(dotted(self.optimizer, "optimizer.")),
            **dict(dotted(self.schedule, "schedule.")),
            "optimizer.learning_rate": self.learning_rate(images),
        }

    def learning_rate(self, images: int) -> float:
        """Its rate for so many images an update."""
        rate = self.optimizer.learning_rate
        return rate * images / self.images if self.scales else rate

    def overridden(self, config: Config) -> dict[str, tuple[Any, Any]]:
        """Every key that ``config`` sets otherwise: (its value, the recipe's)."""
        here, settings = dict(dotted(config)), self.settings(config.images_an_update)
        return {key: (here[key], value) for key, value in settings.items() if here[key] != value}


def told_images(recipe: Recipe, config: Config) -> str:
    """For how many images an update the recipe was made, how many there are here, and what follows for the rate.

    >>> told_images(THEANO, Config(batch_size=256)), told_images(THEANO, Config(batch_size=64))
    ('256 images an update', '256 images an update (here 64)')
    >>> told_images(SQUEEZENET, Config(batch_size=128))
    '512 images an update (here 128: its rate 0.04 becomes 0.01)'
    """
    told, here = f"{recipe.images} images an update", config.images_an_update
    if here == recipe.images:
        return told
    rates = f": its rate {recipe.optimizer.learning_rate:g} becomes {recipe.learning_rate(here):g}"
    return f"{told} (here {here}{rates if recipe.scales else ''})"


def dotted(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a configuration with its value, sections dotted."""
    for f in fields(section):
        value = getattr(section, f.name)
        if is_dataclass(value):
            yield from dotted(value, f"{prefix}{f.name}.")
        else:
            yield prefix + f.name, value


def plain(value: Any) -> Any:
    """A configuration, or any value in one, as YAML can hold it."""
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


# Deviations of ImageNet's colours, times 255, that fb.resnet.torch computed and others took over. soumith's and
# torchnet's systems compute their own from each data set.
IMAGENET_STD = (58.4, 57.12, 57.38)
SOUMITH_NORMALIZE = NormalizeConfig(mean="channel", std=IMAGENET_STD)

# Random crops, half of them mirrored, less the mean image: what AugmentConfig has.
THEANO = Recipe(
    source="theano_alexnet, config.yaml",
    images=256,
    n_epochs=60,
)

SOUMITH = Recipe(
    source="soumith's imagenet-multiGPU.torch, train.lua and donkey.lua",
    images=128,
    n_epochs=55,
    normalize=SOUMITH_NORMALIZE,
    optimizer=OptimizerConfig(decayed="all", bias_rate_factor=1.0),
    schedule=ScheduleConfig(
        policy="regimes",
        regimes=(
            Regime(first_epoch=1, rate=1.0, decay=1.0),
            Regime(first_epoch=19, rate=0.5, decay=1.0),
            Regime(first_epoch=30, rate=0.1, decay=0.0),
            Regime(first_epoch=44, rate=0.05, decay=0.0),
            Regime(first_epoch=53, rate=0.01, decay=0.0),
        ),
    ),
)

# The jitter there comes after mean and deviation, where it mixes with zero instead of black; here before them.
TORCHNET = replace(
    SOUMITH,
    source="farrajota's multi-gpu-torchnet: soumith's schedule, and colours that change",
    augment=AugmentConfig(color_jitter=0.4),
)

NIN = Recipe(
    source="soumith's imagenet-multiGPU.torch, models/ninbn.lua",
    images=128,
    n_epochs=35,
    normalize=SOUMITH_NORMALIZE,
    optimizer=OptimizerConfig(learning_rate=0.1, decayed="all", bias_rate_factor=1.0),
    schedule=ScheduleConfig(
        policy="regimes",
        regimes=(
            Regime(first_epoch=1, rate=1.0, decay=1.0),
            Regime(first_epoch=10, rate=0.1, decay=1.0),
            Regime(first_epoch=20, rate=0.01, decay=0.0),
            Regime(first_epoch=26, rate=0.001, decay=0.0),
        ),
    ),
)

# 200,000 iterations of 128 images are 20 epochs, 800,000 are 80. The solvers of 101 and 152 layers say two and four
# times as many iterations, though one of theirs has 128 images too: a mistake that is not repeated here.
CAFFE_RESNET = Recipe(
    source="resnet-imagenet-caffe, resnet_50.prototxt and its solver",
    images=128,
    n_epochs=80,
    normalize=NormalizeConfig(mean="channel"),  # 104, 117 and 123 there: ImageNet's, of blue, green and red
    optimizer=OptimizerConfig(learning_rate=0.1, weight_decay=1e-4, decayed="all", bias_rate_factor=1.0),
    schedule=ScheduleConfig(policy="step", steps=(20, 40, 60)),
)

# 170,000 updates of 512 images are 68 epochs. An older version of that solver has 0.08 for 1,024 images: the rate was
# halved with them. It is at the edge: at 0.04 for 512 images, some who used these very files saw nothing learned
# (issues 4 and 18 of forresti/SqueezeNet).
SQUEEZENET = Recipe(
    source="SqueezeNet's published train_val.prototxt and solver.prototxt",
    images=512,
    scales=True,
    n_epochs=68,
    augment=AugmentConfig(mirror=False),
    normalize=NormalizeConfig(mean="channel"),
    optimizer=OptimizerConfig(learning_rate=0.04, weight_decay=2e-4, decayed="all", bias_rate_factor=1.0),
    schedule=ScheduleConfig(policy="linear"),
)
