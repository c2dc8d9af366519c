"""How the networks were trained by those who made them: defaults that the configuration may override.

A rate belongs to the number of images an update that it was found for, which each recipe states.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from lib.config import Config, OptimizerConfig, Regime, ScheduleConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to train: the values of all keys that belong to it."""

    source: str
    """where it was found"""

    images: int
    """images an update there, over all workers"""

    n_epochs: int
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    def settings(self) -> dict[str, Any]:
        """Dotted key -> value.

        >>> THEANO.settings()["run.n_epochs"], THEANO.settings()["schedule.steps"]
        (60, (20, 40))
        """
        return {
            "run.n_epochs": self.n_epochs,
            **dict(dotted(self.optimizer, "optimizer.")),
            **dict(dotted(self.schedule, "schedule.")),
        }

    def overridden(self, config: Config) -> dict[str, tuple[Any, Any]]:
        """Every key that ``config`` sets otherwise: (its value, the recipe's)."""
        here = dict(dotted(config))
        return {key: (here[key], value) for key, value in self.settings().items() if here[key] != value}


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


THEANO = Recipe(
    source="theano_alexnet, config.yaml",
    images=256,
    n_epochs=60,
)

SOUMITH = Recipe(
    source="soumith's imagenet-multiGPU.torch, train.lua; torchnet's systems use the same",
    images=128,
    n_epochs=55,
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

NIN = Recipe(
    source="soumith's imagenet-multiGPU.torch, models/ninbn.lua",
    images=128,
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

# 200,000 iterations of 128 images are 20 epochs, 800,000 are 80. The solvers of 101 and 152 layers say two and four
# times as many iterations, though one of theirs has 128 images too: a mistake that is not repeated here.
CAFFE_RESNET = Recipe(
    source="resnet-imagenet-caffe, resnet_50_solver.prototxt",
    images=128,
    n_epochs=80,
    optimizer=OptimizerConfig(learning_rate=0.1, weight_decay=1e-4, decayed="all", bias_rate_factor=1.0),
    schedule=ScheduleConfig(policy="step", steps=(20, 40, 60)),
)

# 170,000 iterations of 512 images are 68 epochs.
SQUEEZENET = Recipe(
    source="SqueezeNet's published solver.prototxt",
    images=512,
    n_epochs=68,
    optimizer=OptimizerConfig(learning_rate=0.04, weight_decay=2e-4, decayed="all", bias_rate_factor=1.0),
    schedule=ScheduleConfig(policy="linear"),
)
