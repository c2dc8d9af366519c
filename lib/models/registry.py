"""The networks that can be trained: a dict you can read. What belongs to one network stands in its ``ModelSpec``."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from lib.errors import ConfigError
from lib.models.alexnet import AlexNet
from lib.models.tiny import Tiny


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One network: how to build it, and what it was made for."""

    build: Callable[[int, int], nn.Module]
    """(n_classes, crop) -> network, its weights drawn from torch's default generator"""

    crop: int
    """side of the window cut from a 256 x 256 image; smaller images get one in proportion"""

    min_crop: int
    """smallest window on which every layer still has an output"""

    source: str
    """where layers and initial values come from"""

    def crop_of(self, img_size: int) -> int:
        """The window for images of ``img_size`` pixels a side. Raises ConfigError when that is too small."""
        crop = round(img_size * self.crop / 256)
        if crop < self.min_crop:
            raise ConfigError(
                f"images of {img_size} x {img_size} give a crop of {crop}, but this network needs at least "
                f"{self.min_crop}; pack the data at img_size {-(-self.min_crop * 256 // self.crop)} or more"
            )
        return crop


MODELS = {
    "alexnet": ModelSpec(
        build=AlexNet,
        crop=227,
        min_crop=67,
        source="theano_alexnet, the network of arXiv:1412.2302",
    ),
    "tiny": ModelSpec(build=Tiny, crop=227, min_crop=13, source="ours, for tests and first steps"),
    "tiny_without_dropout": ModelSpec(
        build=partial(Tiny, dropout=0.0), crop=227, min_crop=13, source="tiny, to compare runs number by number"
    ),
}


def model_spec(name: str) -> ModelSpec:
    """Raises ConfigError for a network that is not there, with those that are."""
    if name in MODELS:
        return MODELS[name]
    close = difflib.get_close_matches(name, MODELS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ConfigError(f"model.name is {name}; {hint}known networks: {', '.join(MODELS)}")
