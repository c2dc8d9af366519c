"""classify.py: print the most probable classes of images."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from ..config.plain_parser import PlainParser
from ..data.images.decode import decode
from ..data.images.listing import SUFFIXES, find_images
from ..errors import ConfigError, DataError
from ..evaluation.output_formats import PRINTERS
from ..system.cpus import free_cores
from ..system.terminal import print_stderr
from ..types import PUBLISHED, Activation
from .report_errors import report_errors


@report_errors
def classify(description: str) -> int:
    """Run classify.py. Returns the exit status, 2 if an image cannot be read."""
    options = parse(sys.argv[1:], description)
    import torch  # noqa: PLC0415  (takes a second, which --help and mistakes in options need not wait for)

    from ..evaluation.class_metrics import one_class_warning  # noqa: PLC0415
    from ..evaluation.opening import open_network  # noqa: PLC0415
    from ..system.devices import choose_device  # noqa: PLC0415

    torch.set_num_threads(options.threads or min(torch.get_num_threads(), free_cores()))
    predictor = open_network(options).to(choose_device([options.device], 0, torch.cuda.device_count()))
    if options.data is not None:
        print_stderr(f"{options.checkpoint}: {predictor.describe_input()} (--img_size, --model.crop)")
    printer = PRINTERS[options.format](len(options.pictures) > 1 or not Path(options.pictures[0]).is_file())
    status, best = 0, list[int]()
    for name in file_names(options.pictures):
        try:
            image_HWC = decode(Path(name).read_bytes(), predictor.img_size, predictor.preparation.resize)
        except (OSError, DataError) as error:
            text = f"it cannot be read: {error.strerror or error}" if isinstance(error, OSError) else error
            print_stderr(f"error: {name}: {text}")
            status = 2
            continue
        probabilities_1K = predictor.probabilities(image_HWC[None], options.crops)
        classes = predictor.top_classes(probabilities_1K[0], options.top)
        best.append(classes[0][0])
        printer(name, classes)
    if options.data is not None and (warning := one_class_warning(best)):
        print_stderr(f"warning: {warning}")
    return status


def parse(argv: Sequence[str], description: str) -> argparse.Namespace:
    """Return the options. Ends the process for --help and unknown options. Raises ConfigError."""
    parser = PlainParser(description=description)
    add = parser.add_argument
    add("pictures", nargs="+", metavar="IMAGE | FOLDER | -", help="images; folders of images; -: names on stdin")
    add("--top", type=int, default=5, metavar="N", help="classes to print per image (default: %(default)s)")
    add("--crops", type=int, default=1, choices=(1, 2, 10), help="crops per image to average (default: 1)")
    add("--json", dest="format", action="store_const", const="json", help="print one JSON object per image and line")
    add("--csv", dest="format", action="store_const", const="csv", help="print CSV: picture,place,folder,name,score")
    add_network_options(parser)
    add("--debug", action="store_true", help="print the traceback of every error")
    add("--threads", type=int, default=0, metavar="N", help="CPU threads (default: the number of free cores)")
    add("--device", default="auto", help="auto (a GPU if there is one, else the CPU), cpu, cuda:0, ...")
    parser.set_defaults(format="text")
    options = parser.parse_args(argv)
    if options.threads < 0:
        raise ConfigError(f"--threads is {options.threads}; it must be at least 0")
    if options.top < 1:
        raise ConfigError(f"--top is {options.top}; it must be at least 1")
    return options


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the weights and their preprocessing."""
    add = parser.add_argument
    text = (
        "a checkpoint, the folder of a run, for its best checkpoint, or a .safetensors or .onnx file of export.py "
        "(default: %(default)s). "
        "torchvision: the weights that it publishes for --model. "
        "With --data: weights in any format that lib/formats/registry.py reads"
    )
    add("--checkpoint", default="models", metavar="PATH", help=text)
    text = (
        "for weights of other programs: a folder with the names of the classes (synset_words.txt) and "
        "img_mean.npy (without it, ImageNet's mean color is used), or their data set"
    )
    add("--data", type=Path, metavar="FOLDER", help=text)
    add(
        "--model",
        "--model.name",
        default="alexnet",
        help="with --data or torchvision: network of the weights (default: %(default)s)",
    )
    text = "with --data: how its classes are matched with those of weights that tell theirs (default: %(default)s)"
    add("--classes", "--model.classes", choices=("by_name", "by_order"), default="by_name", help=text)
    text = (
        "with --data: images that weights were trained on which do not tell it: auto, torchvision, caffe, 0..1, "
        "0..255, or 'order=bgr mean=104,117,123 std=1,1,1', on a scale of 0 to 255 (default: auto: torchvision)"
    )
    add("--made_for", "--model.made_for", default="auto", help=text)
    text = "with --data: normalize.mean (default: the recipe of the network)"
    add("--mean", "--normalize.mean", choices=("image", "channel", "none"), help=text)
    text = (
        "with --data: normalize.std, to which the weights are rescaled (default: the recipe of the network); what "
        "weights were made for is --made_for"
    )
    add("--std", "--normalize.std", nargs=3, type=float, metavar=("R", "G", "B"), help=text)
    text = "with --data: side that images are resized to (default: that of its mean image, or 256)"
    add("--img_size", "--data.img_size", type=int, default=0, metavar="N", help=text)
    text = (
        "with --data: side of the network's input, cut from the center of the resized image (default: as large a share "
        "of it as the network's authors took, e.g. 224 of 256)"
    )
    add("--model.crop", dest="crop", type=int, default=PUBLISHED.crop, metavar="N", help=text)
    text = "with --data: model.width of a ResNet (default: %(default)s)"
    add("--model.width", dest="width", type=float, default=PUBLISHED.width, metavar="FACTOR", help=text)
    text, activations = "with --data: model.activation (default: %(default)s)", get_args(Activation)
    add("--model.activation", dest="activation", choices=activations, default=PUBLISHED.activation, help=text)
    text = "with --data: model.blurpool of a ResNet, true or false (default: false)"
    add("--model.blurpool", dest="blurpool", type=_flag, default=PUBLISHED.blurpool, metavar="FLAG", help=text)


def _flag(text: str) -> bool:
    """Return whether ``text`` is true. Raises ArgumentTypeError if it is neither true nor false."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text} is neither true nor false")
    return text == "true"


def file_names(pictures: Sequence[str]) -> Iterator[str]:
    """Yield the names of the images that the arguments stand for; those from stdin as they arrive.

    Raises DataError for a folder without images.
    """
    for name in pictures:
        if name == "-":
            yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
        elif Path(name).is_dir():
            found = find_images(Path(name))
            if not found:
                raise DataError(f"{name} holds no image ({', '.join(SUFFIXES)})")
            yield from map(str, found)
        else:
            yield name
