"""export.py: write the weights of a network in the format of another program."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..config.plain_parser import PlainParser
from ..errors import ConfigError
from .classify import add_network_options
from .report_errors import report_errors


@report_errors
def export(description: str) -> int:
    """Run export.py. Returns the exit status."""
    options = parse(sys.argv[1:], description)
    # Imported here: torch takes a second, which --help and mistakes in options need not wait for.
    from ..evaluation.onnx_predictor import OnnxPredictor  # noqa: PLC0415
    from ..evaluation.opening import open_network  # noqa: PLC0415
    from .export_writers import WRITERS  # noqa: PLC0415

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
    parser.add_argument("--format", choices=FORMATS, help="default: by the suffix of OUT, .safetensors or .onnx")
    add_network_options(parser)
    parser.add_argument("--debug", action="store_true", help="print the traceback of every error")
    options = parser.parse_args(argv)
    options.format = options.format or SUFFIXES.get(options.out.suffix)
    if options.format is None:
        raise ConfigError(f"{options.out} has no suffix that names a format; add --format, one of {', '.join(FORMATS)}")
    return options


FORMATS = ("safetensors", "onnx", "theano", "cudaconvnet")
SUFFIXES = {".safetensors": "safetensors", ".onnx": "onnx"}
