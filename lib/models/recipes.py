"""How the authors of the networks trained them, and how one would today: defaults that the configuration may override.

A learning rate belongs to a number of images per update, which each recipe states.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..config.dump import dotted
from ..config.schema import AugmentConfig, NormalizeConfig, OptimizerConfig, Regime, ScheduleConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The values of all keys that belong to one way of training."""

    source: str
    """where the recipe was published"""
    images: int
    """images per update that it is made for, over all workers"""
    scales: bool = False
    """whether its source scales the learning rate in proportion to the images per update"""
    n_epochs: int
    precise_bn: int = 0
    """images by which norms are measured before each validation"""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    normalize: NormalizeConfig = field(default_factory=NormalizeConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    def settings(self, images: int) -> dict[str, Any]:
        """Return its values by dotted key, for a run with ``images`` images per update.

        >>> THEANO.settings(128)["run.n_epochs"], THEANO.settings(128)["optimizer.learning_rate"]
        (60, 0.01)
        >>> SQUEEZENET.settings(128)["optimizer.learning_rate"]
        0.01
        """
        sections = {key: value for key, value in dotted(self) if "." in key}
        own = {"run.n_epochs": self.n_epochs, "model.precise_bn": self.precise_bn}
        return own | sections | {"optimizer.learning_rate": self.learning_rate(images)}

    def learning_rate(self, images: int) -> float:
        """Return its learning rate for ``images`` images per update."""
        rate = self.optimizer.learning_rate
        return rate * images / self.images if self.scales else rate

    def overridden(self, values: Mapping[str, Any], images: int) -> dict[str, tuple[Any, Any]]:
        """Return (value, recipe's value) of every key that ``values``, by dotted key, sets differently."""
        return {key: (values[key], value) for key, value in self.settings(images).items() if values[key] != value}

    def describe_images(self, images: int) -> str:
        """Return for how many images per update it is made, and what ``images`` of them change.

        >>> THEANO.describe_images(256), THEANO.describe_images(64)
        ('256 images per update', '256 images per update (here 64)')
        >>> SQUEEZENET.describe_images(128)
        '512 images per update (here 128: its learning rate 0.04 becomes 0.01)'
        """
        text = f"{self.images} images per update"
        if images == self.images:
            return text
        rates = f": its learning rate {self.optimizer.learning_rate:g} becomes {self.learning_rate(images):g}"
        return f"{text} (here {images}{rates if self.scales else ''})"


# Standard deviations of ImageNet's colors, on a scale of 0 to 255, as fb.resnet.torch computed them. soumith's and
# torchnet's systems compute their own from each data set.
IMAGENET_STD = (58.4, 57.12, 57.38)

# Random crops, half of them mirrored, minus the mean image: the defaults of AugmentConfig and NormalizeConfig.
THEANO = Recipe(source="theano_alexnet, config.yaml", images=256, n_epochs=60)

# 450,000 iterations of 256 images are 90 epochs; the rate is divided every 100,000, which are 20.
CAFFE_ALEXNET = replace(
    THEANO,
    source="Caffe's bvlc_reference_caffenet and bvlc_alexnet, solver.prototxt",
    n_epochs=90,
    schedule=ScheduleConfig(policy="step", steps=(20, 40, 60, 80)),
)

SOUMITH = Recipe(
    source="soumith's imagenet-multiGPU.torch, train.lua and donkey.lua",
    images=128,
    n_epochs=55,
    normalize=NormalizeConfig(mean="channel", std=IMAGENET_STD),
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

# The source applies color jitter after normalization, where it blends with zero instead of black; here it comes before.
TORCHNET = replace(
    SOUMITH,
    source="farrajota's multi-gpu-torchnet: soumith's schedule, with color jitter",
    augment=AugmentConfig(color_jitter=0.4),
)

NIN = replace(
    SOUMITH,
    source="soumith's imagenet-multiGPU.torch, models/ninbn.lua",
    n_epochs=35,
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

# 200,000 iterations of 128 images are 20 epochs, 800,000 are 80. The solvers for 101 and 152 layers have two and four
# times as many iterations, although one of these also has 128 images: taken as a mistake and not copied.
CAFFE_RESNET = Recipe(
    source="resnet-imagenet-caffe, resnet_50.prototxt and its solver of commit f032b91",
    images=128,
    n_epochs=80,
    normalize=NormalizeConfig(mean="channel"),  # there 104, 117 and 123: ImageNet's blue, green and red
    optimizer=OptimizerConfig(learning_rate=0.1, weight_decay=1e-4, decayed="all", bias_rate_factor=1.0),
    schedule=ScheduleConfig(policy="step", steps=(20, 40, 60)),
)

# 170,000 updates of 512 images are 68 epochs. An older version of the solver has 0.08 for 1,024 images, so the rate
# scales. It is close to the limit: with 0.04 for 512 images, some users of these files report that the network learned
# nothing (issues 4 and 18 of forresti/SqueezeNet).
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

# The source's efficient training with its refinements but mixup and distillation. It jitters hue instead of contrast.
BAG_OF_TRICKS = Recipe(
    source="arXiv:1812.01187, with label smoothing and a cosine, without mixup and distillation",
    images=256,
    scales=True,
    n_epochs=120,
    augment=AugmentConfig(crop="resized", color_jitter=0.4, pca_lighting=0.1),
    normalize=NormalizeConfig(mean="channel", std=IMAGENET_STD),
    optimizer=OptimizerConfig(
        learning_rate=0.1, nesterov=True, weight_decay=1e-4, bias_rate_factor=1.0, label_smoothing=0.1
    ),
    schedule=ScheduleConfig(policy="cosine", warmup_epochs=5.0),
)

# 64,000 iterations of 128 images are 164 epochs of 50,000; the rate is divided after 32,000 and 48,000.
CIFAR_RESNET = Recipe(
    source="arXiv:1512.03385, section 4.2",
    images=128,
    n_epochs=164,
    augment=AugmentConfig(pad=4),
    optimizer=OptimizerConfig(learning_rate=0.1, weight_decay=1e-4, decayed="all", bias_rate_factor=1.0),
    schedule=ScheduleConfig(policy="step", steps=(82, 123)),
)

# 10,000 iterations of 64 images are 11 epochs of 60,000. Caffe's rate falls in each iteration, as (1 + 1e-4 i)^-0.75;
# here it has the value of the middle of an epoch.
_ITERATIONS = 60_000 / 64
LENET = Recipe(
    source="Caffe's examples/mnist, lenet_train_test.prototxt and lenet_solver.prototxt",
    images=64,
    n_epochs=11,
    augment=AugmentConfig(crop="center", mirror=False),
    normalize=NormalizeConfig(mean="none", std=(256.0, 256.0, 256.0)),
    optimizer=OptimizerConfig(decayed="all"),
    schedule=ScheduleConfig(
        policy="regimes",
        regimes=tuple(
            Regime(first_epoch=epoch, rate=round((1 + 1e-4 * _ITERATIONS * (epoch - 0.5)) ** -0.75, 3), decay=1.0)
            for epoch in range(1, 12)
        ),
    ),
)

# What gained most on Imagenette at 128 pixels among the optimizers and schedules of today, at 5 and 20 epochs. Longer
# trainings gain more from augment.mixup 0.2 with augment.cutmix 1 and augment.area 0.25: two points at 80 epochs.
# Images are normalized as in the classic recipe, which initial weights were made for (ModelSpec.chosen_recipe).
MODERN = Recipe(
    source="RAdam with Lookahead, flat then cosine (arXiv:1908.03265, arXiv:1907.08610), with label smoothing",
    images=64,
    n_epochs=20,
    precise_bn=256,
    augment=AugmentConfig(crop="resized", area=0.35),
    optimizer=OptimizerConfig(
        name="radam",
        learning_rate=8e-3,
        betas=(0.95, 0.99),
        eps=1e-6,
        lookahead=6,
        weight_decay=0.01,
        bias_rate_factor=1.0,
        label_smoothing=0.1,
    ),
    schedule=ScheduleConfig(policy="flat_cosine", flat=0.72),
)

# Without norms a network takes smaller rates, and the slow start of RAdam with Lookahead keeps it where it began.
# It has no statistics to measure, so its windows are resized to be as sharp as validation images.
MODERN_WITHOUT_NORMS = replace(
    MODERN,
    source="AdamW (arXiv:1711.05101) clipped to norm 1, flat then cosine, with label smoothing",
    precise_bn=0,
    augment=replace(MODERN.augment, interpolation="bicubic"),
    optimizer=replace(MODERN.optimizer, name="adamw", learning_rate=5e-4, lookahead=0, clip_norm=1.0),
)

MODERN_CIFAR = replace(MODERN, source="recipe modern with windows of bordered images", augment=AugmentConfig(pad=4))

MODERN_DIGITS = replace(
    MODERN_WITHOUT_NORMS,
    source="AdamW clipped to norm 1, flat then cosine, with windows of bordered images, not mirrored",
    augment=AugmentConfig(pad=2, mirror=False),
    optimizer=replace(MODERN_WITHOUT_NORMS.optimizer, learning_rate=1e-3),
)
