"""From a command line to the classes of pictures: name what is in each, one after the other."""

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from lib.commands.report_errors import report_errors
from lib.config.plain_parser import PlainParser
from lib.data.images.decode import decode
from lib.data.images.listing import SUFFIXES
from lib.errors import ConfigError, DataError
from lib.evaluation.output_formats import SHOWN, Show
from lib.evaluation.predictor import Network, best, open_network
from lib.system.devices import choose_device


def classify(description: str) -> int:
    """The whole of classify.py: the exit status, 2 where a picture could not be read."""

    def main() -> int:
        options = parse(sys.argv[1:], description)
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="surrogateescape")  # a file's name need not be UTF-8
        network = open_network(options)
        show = SHOWN[options.format](len(options.pictures) > 1 or not Path(options.pictures[0]).is_file())
        return classify_all(network.to(device_of(options.device)), options, show)

    return report_errors(main)


def parse(argv: Sequence[str], description: str) -> argparse.Namespace:
    """The options. Ends the process for --help and for what cannot be understood."""
    parser = PlainParser(description=description)
    add = parser.add_argument
    add("pictures", nargs="+", metavar="IMAGE | FOLDER | -", help="pictures; a folder: all in it; -: names from stdin")
    add("--top", type=int, default=5, metavar="N", help="classes to show of each picture (default: %(default)s)")
    add("--crops", type=int, default=1, choices=(1, 2, 10), help="views of each picture to average (default: 1)")
    add("--json", dest="format", action="store_const", const="json", help="one JSON object a line for each picture")
    add("--csv", dest="format", action="store_const", const="csv", help="a table: picture,place,folder,name,score")
    add_network_options(parser)
    parser.add_argument("--debug", action="store_true", help="tracebacks of errors, too")
    add("--device", default="auto", help="auto (a GPU if there is one, else the CPU), cpu, cuda:0, ...")
    parser.set_defaults(format="text")
    options = parser.parse_args(argv)
    if options.top < 1:
        raise ConfigError(f"--top is {options.top}; it must be at least 1")
    return options


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Where weights come from."""
    add = parser.add_argument
    add(
        "--checkpoint",
        default="models",
        metavar="PATH",
        help="a checkpoint, or a run's folder: its best one "
        "(default: %(default)s). With --data: weights in any format, see lib/formats/registry.py",
    )
    add(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="for weights that are no checkpoint of ours: a folder with the names of their classes (synset_words.txt) "
        "and img_mean.npy, or else ImageNet's mean colour; or the data set that they go with",
    )
    add("--model", default="alexnet", help="with --data: which network they are of (default: %(default)s)")
    add(
        "--mean",
        choices=("image", "channel", "none"),
        help="with --data: normalize.mean (default: the network's recipe's)",
    )
    add(
        "--std",
        nargs=3,
        type=float,
        metavar=("R", "G", "B"),
        help="with --data: normalize.std, to which weights of any format are brought (default: the recipe's)",
    )


def device_of(name: str) -> torch.device:
    """The device of that name. Raises ConfigError."""
    return choose_device([name], 0, torch.cuda.device_count())


def classify_all(network: Network, options: argparse.Namespace, show: Show) -> int:
    """Show what each picture is; those that cannot be read are named on stderr, and make the exit status 2."""
    status = 0
    for name in names(options.pictures):
        try:
            image_HWC = decode(read(name), network.img_size, network.preparation.resize)
        except DataError as error:
            print(f"error: {name}: {error}", file=sys.stderr, flush=True)
            status = 2
            continue
        probabilities_1K = network.probabilities(image_HWC[None], options.crops)
        show(name, best(probabilities_1K[0], network.preparation.classes, options.top))
    return status


def names(pictures: Sequence[str]) -> Iterator[str]:
    """The files that are meant, one by one: those of stdin as they come."""
    for name in pictures:
        if name == "-":
            yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
        elif Path(name).is_dir():
            yield from in_folder(Path(name))
        else:
            yield name


def in_folder(folder: Path) -> list[str]:
    """Every picture in ``folder`` and the folders in it, sorted. Raises DataError when there is none."""
    found = sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise DataError(f"{folder} holds no picture ({', '.join(SUFFIXES)})")
    return found


def read(name: str) -> bytes:
    """The bytes of a file. Raises DataError."""
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise DataError(f"it cannot be read: {error.strerror or error}") from None
