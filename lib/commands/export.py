"""export.py: write the weights of a network in the format of another program."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ..config.plain_parser import PlainParser
from ..errors import ConfigError
from ..evaluation.exported import PictureNetwork, metadata, subtracted
from ..evaluation.onnx_predictor import OnnxPredictor
from ..evaluation.opening import open_network
from ..evaluation.predictor import Predictor
from ..formats import onnx_file, safe_tensors, theano
from ..formats.scaled_weights import ScaledWeights
from .classify import add_network_options
from .report_errors import report_errors


@report_errors
def export(description: str) -> int:
    """Run export.py. Returns the exit status."""
    options = parse(sys.argv[1:], description)
    predictor = open_network(options)
    if isinstance(predictor, OnnxPredictor):
        raise ConfigError(f"{options.checkpoint} is ONNX, which cannot be converted; export the checkpoint")
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[options.format](predictor, options.out)
    except OSError as error:
        raise ConfigError(f"cannot write {options.out}: {error.strerror or error}") from None
    print(f"{options.out}: {predictor.name}, {options.format}")
    return 0


def parse(argv: Sequence[str], description: str) -> argparse.Namespace:
    """Return the options. Ends the process for --help and unknown options. Raises ConfigError without a format."""
    parser = PlainParser(description=description)
    parser.add_argument("out", type=Path, metavar="OUT", help="file to write; a folder for theano and cudaconvnet")
    parser.add_argument("--format", choices=list(WRITERS), help="default: by the suffix of OUT, .safetensors or .onnx")
    add_network_options(parser)
    parser.add_argument("--debug", action="store_true", help="print the traceback of every error")
    options = parser.parse_args(argv)
    options.format = options.format or SUFFIXES.get(options.out.suffix)
    if options.format is None:
        raise ConfigError(f"{options.out} has no suffix that names a format; add --format, one of {', '.join(WRITERS)}")
    return options


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
SUFFIXES = {".safetensors": "safetensors", ".onnx": "onnx"}
