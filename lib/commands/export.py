"""From a command line to the weights of a network in another program's format."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from lib.checkpoints.checkpoint import Preparation
from lib.commands.classify import add_network_options
from lib.commands.report_errors import report_errors
from lib.config.plain_parser import PlainParser
from lib.errors import ConfigError
from lib.evaluation.predictor import Network, open_network
from lib.formats import onnx_file, safe_tensors, theano
from lib.formats.scaled_weights import ScaledWeights


def export(description: str) -> int:
    """The whole of export.py: the exit status."""

    def main() -> int:
        options = parse(sys.argv[1:], description)
        network = open_network(options)
        try:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            WRITERS[options.format](network, options.out)
        except OSError as error:
            raise ConfigError(f"cannot write {options.out}: {error.strerror or error}") from None
        print(f"{options.out}: {network.name}, {options.format}")
        return 0

    return report_errors(main)


def parse(argv: Sequence[str], description: str) -> argparse.Namespace:
    """The options. Ends the process for --help; raises ConfigError when the format is not clear."""
    parser = PlainParser(description=description)
    parser.add_argument("out", type=Path, metavar="OUT", help="file or, for theano and cudaconvnet, folder to write")
    parser.add_argument("--format", choices=list(WRITERS), help="default: by OUT's suffix, .safetensors or .onnx")
    add_network_options(parser)
    parser.add_argument("--debug", action="store_true", help="tracebacks of errors, too")
    options = parser.parse_args(argv)
    options.format = options.format or SUFFIXES.get(options.out.suffix)
    if options.format is None:
        raise ConfigError(f"{options.out} does not say its format; add --format, one of {', '.join(WRITERS)}")
    return options


def about(network: Network) -> dict[str, str]:
    """What a user of the file should know of it."""
    return {
        "network": network.name,
        "crop": str(network.crop),
        "img_size": str(network.img_size),
        "input": told(network.preparation),
        "std": json.dumps(network.preparation.std),
        "classes": json.dumps([readable or folder for folder, readable in network.preparation.classes]),
    }


def told(preparation: Preparation) -> str:
    """How a picture becomes the network's input."""
    less = {"image": ", less the mean image", "channel": ", less its channels' means", "none": ""}[
        preparation.subtracted
    ]
    means = [round(value, 2) for value in preparation.mean.mean((1, 2)).tolist()]
    less += f" {means}" if preparation.subtracted == "channel" else ""
    return f"float32 RGB, 0 to 255{less}" + (f", divided by {list(preparation.std)}" if preparation.std else "")


def write_safetensors(network: Network, path: Path) -> None:
    """Every weight by its name in torch, float32, and ``about`` as metadata."""
    safe_tensors.write(network.model.state_dict(), about(network), path)


def write_onnx(network: Network, path: Path) -> None:
    """Raises ConfigError without onnx's packages, WeightsError when onnxruntime computes something else."""
    onnx_file.write(network.model, network.crop, about(network), path)


def write_theano(network: Network, path: Path) -> None:
    """A folder as theano_alexnet's ``lib_conv: cudnn`` has it. Raises WeightsError for all but alexnet."""
    theano.write(_for_bytes(network), network.epoch, path)


def write_cudaconvnet(network: Network, path: Path) -> None:
    """The same for ``lib_conv: cudaconvnet``: kernels are not turned."""
    theano.write(_for_bytes(network), network.epoch, path, "cudaconvnet")


def _for_bytes(network: Network) -> dict[str, Tensor]:
    """Its weights for colours of 0 to 255: files that cannot say what pictures are divided by."""
    trained = ScaledWeights(network.model.state_dict(), network.preparation.std)
    return trained.rescaled(None, network.name)


WRITERS: dict[str, Callable[[Network, Path], None]] = {
    "safetensors": write_safetensors,
    "onnx": write_onnx,
    "theano": write_theano,
    "cudaconvnet": write_cudaconvnet,
}
SUFFIXES = {".safetensors": "safetensors", ".onnx": "onnx"}
