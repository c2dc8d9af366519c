"""Make a small predictor without training."""

import torch

from lib.checkpoints.checkpoint import Preparation
from lib.evaluation.predictor import Predictor
from lib.models.registry import model_spec


def predictor() -> Predictor:
    """Return a network with random weights for pictures of 32 x 32 pixels of four classes."""
    preparation = Preparation(resize="squash", mean=torch.zeros(3, 32, 32), classes=(("n0", "a"),) * 4)
    model = model_spec("tiny").build(4, 28).eval()
    return Predictor(name="tiny", epoch=0, model=model, crop=28, preparation=preparation)
