"""Images per second of a training step on one device, compared with plain PyTorch. Data is on the device already.

Ratios are to the strongest of the peers.
"""

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
from lib.models.registry import MODELS

_MODES = ("default", "reduce-overhead", "max-autotune-no-cudagraphs")


def main(argv: Sequence[str]) -> int:
    arguments = _parse(argv)
    rows: list[Row] = []
    for model in list(MODELS) if arguments.model == ["all"] else arguments.model:
        for size in arguments.batch_size:
            rows += measure(arguments, model, size)
            torch.compiler.reset()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    command.show("step", arguments, rows)
    return 0


def measure(arguments: argparse.Namespace, model: str, size: int) -> list[Row]:
    """Build, warm up and measure this program and its peers on one network at one batch size."""
    keys = ["--model.name", model, "--batch_size", str(size), "--compute.precision", arguments.precision]
    if arguments.compile and command.has_gpu():  # as a long training does; on a CPU it does not
        keys += ["--compute.compile", "always"]
    ours = OurStep(configuration([*keys, "--data.img_size", str(arguments.img_size), *arguments.keys]))
    ours.images_per_s(arguments.warm_up)
    tf32 = torch.get_float32_matmul_precision() == "high"
    kind = "bf16" if ours.dtype == torch.bfloat16 else "tf32" if tf32 else "fp32"

    sizes = Sizes(size, ours.replica.crop, ours.data.n_classes)

    def peer(**options: Any) -> BaselineStep:
        network, loss = plain_network(model, sizes.classes, sizes.crop, ours.config.model.variant)
        step = BaselineStep(network, loss, sizes=sizes, device=ours.device, **options)
        step.images_per_s(arguments.warm_up)
        return step

    steps: dict[str, OurStep | BaselineStep] = {f"ours, {kind}": ours}
    tuned = {"dtype": ours.dtype, "tf32": tf32, "tuned": True}
    for mode in arguments.modes if arguments.compile else ():
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
    return take_turns(f"{model}, batch {size}", "images/s", contenders, arguments.rounds, strongest=True)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    gpu = command.has_gpu()
    parser = command.parser("step", __doc__, rounds=7 if gpu else 3)
    parser.add_argument(
        "--model", nargs="+", default=["alexnet"], help="networks, or all; train.py --list_models prints them"
    )
    parser.add_argument("--batch_size", type=command.positive, nargs="+", default=[128, 256] if gpu else [8])
    parser.add_argument(
        "--precision", default="auto", help="of this program and the compiled peer: auto, fp32, tf32, bf16"
    )
    parser.add_argument("--img_size", type=command.positive, default=256, help="side of the images, before the crop")
    parser.add_argument("--iterations", type=command.positive, default=100 if gpu else 2, help="per turn")
    parser.add_argument(
        "--warm_up", type=command.positive, default=20 if gpu else 1, help="iterations before the first turn"
    )
    parser.add_argument(
        "--modes", nargs="+", choices=_MODES, default=_MODES if gpu else _MODES[:1], help="of torch.compile, for peers"
    )
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="do not compile")
    command.add_keys(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(command.run(main))
