"""The formats that export.py writes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..evaluation.exported import PictureNetwork, metadata, subtracted
from ..evaluation.predictor import Predictor
from ..formats import onnx_file, safe_tensors, theano
from ..formats.scaled_weights import ScaledWeights


def write_safetensors(predictor: Predictor, path: Path) -> None:
    """Write the weights, and what is subtracted from pictures."""
    mean = {safe_tensors.MEAN: subtracted(predictor.preparation)}
    safe_tensors.write(predictor.model.state_dict() | mean, metadata(predictor), path)


def write_onnx(predictor: Predictor, path: Path) -> None:
    onnx_file.write(PictureNetwork(predictor).eval(), predictor.img_size, metadata(predictor), path)


def write_theano(predictor: Predictor, path: Path, lib_conv: theano.LibConv = "cudnn") -> None:
    """Write a folder as theano_alexnet does. Raises WeightsError unless the network is alexnet."""
    # The format cannot store a std, so the weights become those for images that are not divided by one.
    trained = ScaledWeights(predictor.model.state_dict(), predictor.preparation.std)
    theano.write(trained.rescaled(None, predictor.name), predictor.epoch, path, lib_conv)


WRITERS: dict[str, Callable[[Predictor, Path], None]] = {
    "safetensors": write_safetensors,
    "onnx": write_onnx,
    "theano": write_theano,
    "cudaconvnet": partial(write_theano, lib_conv="cudaconvnet"),
}
