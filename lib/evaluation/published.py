"""A network with the weights that torchvision publishes, which brings the names of ImageNet's classes."""

import torch

from ..checkpoints.checkpoint import Preparation
from ..config.made_for import TORCHVISION_STD
from ..data.dataset import numbered_classes
from ..formats import torchvision
from ..formats.registry import load_weights
from ..models.registry import model_spec
from .predictor import Predictor

# As torchvision resizes for most of its networks: the short side to this, of which a square is taken.
_IMG_SIZE = 256
# Subtracted by all of torchvision's networks: 0.485, 0.456, 0.406 of pixels from 0 to 1.
_MEAN = (255 * 0.485, 255 * 0.456, 255 * 0.406)


def open_published(weights: str, network: str) -> Predictor:
    """Return ``network`` with the weights "torchvision" or "torchvision:NAME". Raises UserError."""
    names: list[str] = torchvision.published(weights, network).meta["categories"]
    numbers = [one.wnid for one in numbered_classes(len(names))]  # some names are those of two classes
    preparation = Preparation(
        resize="crop",
        mean=torch.tensor(_MEAN)[:, None, None].repeat(1, _IMG_SIZE, _IMG_SIZE),
        classes=tuple(zip(numbers, names, strict=True)),
        subtracted="channel",
        std=TORCHVISION_STD,
    )
    spec = model_spec(network)
    crop = spec.crop_of(_IMG_SIZE)
    model = spec.build(len(names), crop)
    load_weights(model, weights, preparation.std, network)
    return Predictor(name=network, epoch=0, model=model.eval(), crop=crop, preparation=preparation)
