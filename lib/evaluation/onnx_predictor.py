"""A network that ``export.py`` wrote as ONNX, computed by onnxruntime on the CPU."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import ConfigError, WeightsError
from ..formats.onnx_file import INPUT, OUTPUT, open_session
from .exported import read_preparation
from .predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class OnnxPredictor(Predictor):
    """A predictor whose file holds the whole computation, from pictures to probabilities; ``model`` is empty."""

    session: Any
    """onnxruntime.InferenceSession"""

    def to(self, device: torch.device) -> "OnnxPredictor":
        """Return itself: onnxruntime computes on the CPU."""
        return self

    def inputs(self, images_BHWC: NDArray[np.uint8]) -> Tensor:
        """Raise ConfigError: an ONNX file prepares its pictures itself."""
        raise ConfigError("an ONNX file holds its whole computation; open the checkpoint for the network alone")

    def probabilities(self, images_BHWC: NDArray[np.uint8], crops: int) -> Tensor:
        """Return the class probabilities for the center crop: float64 (B, K). Raises ConfigError for other crops."""
        if crops != 1:
            raise ConfigError("an ONNX file computes its center crop only; use --crops 1, or the checkpoint")
        return torch.from_numpy(self.session.run([OUTPUT], {INPUT: images_BHWC})[0]).double()


def open_onnx(path: Path) -> OnnxPredictor:
    """Return the network in a file that ``export.py`` wrote. Raises UserError."""
    session = open_session(path)
    said = session.get_modelmeta().custom_metadata_map
    preparation = read_preparation(path, said)
    side = preparation.mean.shape[1]
    inputs = {found.name: found.shape[1:] for found in session.get_inputs()}
    if inputs != {INPUT: [side, side, 3]} or OUTPUT not in [found.name for found in session.get_outputs()]:
        raise WeightsError(f"{path} does not take pictures; export it again with export.py")
    return OnnxPredictor(
        name=said["network"],
        epoch=int(said["epoch"]),
        model=nn.Identity(),
        crop=int(said["crop"]),
        preparation=preparation,
        session=session,
    )
