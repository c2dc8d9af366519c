"""Images per second of a training step on one device, compared with plain PyTorch. Data is on the device already."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from benchmarks import command
from benchmarks.harness import Contender, Row, take_turns
from benchmarks.ours import OurStep, configuration
from benchmarks.plain import BaselineStep, Sizes, plain_network

_MODES = ("default", "max-autotune-no-cudagraphs")


def main(argv: Sequence[str]) -> int:
    arguments = _parse(argv)
    rows: list[Row] = []
    for size in arguments.batch_size:
        rows += measure(arguments, size)
        torch.compiler.reset()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    command.show("step", arguments, rows)
    return 0


def measure(arguments: argparse.Namespace, size: int) -> list[Row]:
    """Build, warm up and measure this program and its peers at one batch size."""
    keys = ["--model.name", arguments.model, "--batch_size", str(size), "--compute.precision", arguments.precision]
    ours = OurStep(configuration([*keys, "--data.img_size", str(arguments.img_size), *arguments.keys]))
    ours.images_per_s(arguments.warm_up)
    tf32 = torch.get_float32_matmul_precision() == "high"
    kind = "bf16" if ours.dtype == torch.bfloat16 else "tf32" if tf32 else "fp32"

    sizes = Sizes(size, ours.replica.crop, ours.data.n_classes)

    def peer(**options: Any) -> BaselineStep:
        network, loss = plain_network(arguments.model, sizes.classes, sizes.crop)
        step = BaselineStep(network, loss, sizes=sizes, device=ours.device, **options)
        step.images_per_s(arguments.warm_up)
        return step

    how = "plain" if ours.replica.why_plain else "fused"
    steps: dict[str, OurStep | BaselineStep] = {f"ours, {kind}, {how} step": ours}
    tuned = {"dtype": ours.dtype, "tf32": tf32, "tuned": True}
    for mode in _MODES[: (2 if arguments.tuned else 1) if arguments.compile else 0]:
        try:
            steps[f"plain layers, {kind}, channels_last, compiled ({mode})"] = peer(**tuned, compile_mode=mode)
        except (
            Exception
        ) as error:  # torch.compile has a different exception for each cause, such as a missing C++ compiler
            print(f"torch.compile ({mode}) failed: {type(error).__name__}: {str(error).strip()[:200]}")
    if len(steps) == 1:
        steps[f"plain layers, {kind}, channels_last, not compiled"] = peer(**tuned)
    steps["plain layers, fp32"] = peer()
    contenders = [Contender(name, partial(step.images_per_s, arguments.iterations)) for name, step in steps.items()]
    return take_turns(f"batch {size}", "images/s", contenders, arguments.rounds)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    gpu = command.has_gpu()
    parser = command.parser("step", __doc__, rounds=7 if gpu else 3)
    parser.add_argument("--model", default="alexnet", help="network; train.py --list_models prints them")
    parser.add_argument("--batch_size", type=command.positive, nargs="+", default=[128, 256] if gpu else [8])
    parser.add_argument(
        "--precision", default="auto", help="of this program and the compiled peer: auto, fp32, tf32, bf16"
    )
    parser.add_argument("--img_size", type=command.positive, default=256, help="side of the images, before the crop")
    parser.add_argument("--iterations", type=command.positive, default=100 if gpu else 2, help="per turn")
    parser.add_argument(
        "--warm_up", type=command.positive, default=20 if gpu else 1, help="iterations before the first turn"
    )
    parser.add_argument("--tuned", action="store_true", help=f"add a peer compiled with mode {_MODES[1]}")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="do not compile the peer")
    command.add_keys(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(command.run(main))
