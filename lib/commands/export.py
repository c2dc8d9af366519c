"""export.py: write the weights of a network in the format of another program."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lib.checkpoints.checkpoint import Preparation
from lib.commands.classify import add_network_options
from lib.commands.report_errors import report_errors
from lib.config.plain_parser import PlainParser
from lib.errors import ConfigError
from lib.evaluation.predictor import Predictor, open_predictor
from lib.formats import onnx_file, safe_tensors, theano
from lib.formats.scaled_weights import ScaledWeights


@report_errors
def export(description: str) -> int:
    """Run export.py. Returns the exit status."""
    options = parse(sys.argv[1:], description)
    predictor = open_predictor(options)
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


def metadata(predictor: Predictor) -> dict[str, str]:
    """Return what a file says about the network: its name, input and classes."""
    return {
        "network": predictor.name,
        "crop": str(predictor.crop),
        "img_size": str(predictor.img_size),
        "input": describe_input(predictor.preparation),
        "std": json.dumps(predictor.preparation.std),
        "folders": json.dumps(predictor.preparation.folders),
        "classes": json.dumps([readable or folder for folder, readable in predictor.preparation.classes]),
    }


def describe_input(preparation: Preparation) -> str:
    """Return how an image becomes the network's input."""
    means = [round(value, 2) for value in preparation.mean.mean((1, 2)).tolist()]
    mean = {"image": ", minus the mean image", "channel": f", minus the channel means {means}", "none": ""}
    std = f", divided by {list(preparation.std)}" if preparation.std else ""
    return f"float32 RGB, 0 to 255{mean[preparation.subtracted]}{std}"


def write_safetensors(predictor: Predictor, path: Path) -> None:
    safe_tensors.write(predictor.model.state_dict(), metadata(predictor), path)


def write_onnx(predictor: Predictor, path: Path) -> None:
    onnx_file.write(predictor.model, predictor.crop, metadata(predictor), path)


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
