"""Shared by the commands of all benchmarks: options, the description of the machine, the table and the JSON."""

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch

from benchmarks.harness import Row, short
from lib.commands.report_errors import report_errors

ROOT = Path(__file__).parents[1]


def run(main: Callable[[Sequence[str]], int]) -> int:
    """Run ``main`` on the command line and return the exit status. SIGTERM also ends its processes and files."""
    signal.signal(signal.SIGTERM, _exit)
    return report_errors(main)(sys.argv[1:])


def _exit(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def parser(name: str, description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options of all benchmarks."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print a line of JSON at the end")
    parser.add_argument("--rounds", type=positive, default=rounds, help="turns of each contender")
    return parser


def positive(text: str) -> int:
    """Convert an argument that must be at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def has_gpu() -> bool:
    """Return whether there is a GPU, which sets the default sizes."""
    return torch.cuda.is_available()


def machine() -> dict[str, Any]:
    """Describe the machine that the figures were measured on."""
    n_gpus = torch.cuda.device_count()
    return {
        "device": torch.cuda.get_device_name(0) if n_gpus else "CPU",
        "gpus": n_gpus,
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def show(
    name: str, arguments: argparse.Namespace, rows: Sequence[Row], notes: Mapping[str, float] | None = None
) -> None:
    """Print the table, ``notes`` below it, and with --json a final line of JSON."""
    settings = {key: value for key, value in vars(arguments).items() if key != "json"}
    here = machine()
    gpus = f"{here['gpus']} x {here['device']}, " if here["gpus"] else ""
    print(f"{gpus}{here['cores']} cores of {here['cpu']}, torch {here['torch']}")
    print(" ".join(f"{key}={value}" for key, value in settings.items()))
    width = max(len(text) for row in rows for text in (row.name, row.case)) + 2
    for case in dict.fromkeys(row.case for row in rows):
        print(f"\n{case or name:<{width}} {'median':>12} {'lowest':>12} {'highest':>12} {'ratio':>7}")
        for row in (row for row in rows if row.case == case):
            figures = " ".join(f"{short(value):>12}" for value in (row.median, row.low, row.high))
            print(f"{row.name:<{width}} {figures} {row.ratio:>7.2f}  {row.unit}")
    print("".join(f"\n{text}: {short(value)}" for text, value in (notes or {}).items()))
    if arguments.json:
        result = {"machine": here, "settings": settings, "rows": [row.as_json() for row in rows], "notes": notes or {}}
        print(json.dumps({"benchmark": name} | result, default=str), flush=True)


def _cpu() -> str:
    """Return the name of the processor, from /proc."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def add_keys(parser: argparse.ArgumentParser) -> None:
    """Let the arguments after ``--`` through to the command line of train.py."""
    parser.add_argument("keys", nargs="*", metavar="-- --KEY VALUE", help="keys of the configuration of this program")


def worker_counts() -> list[int]:
    """Return the numbers of workers to measure: one per GPU, or 1 and 2 on the CPU."""
    return [count for count in (1, 2, 4, 8) if count <= torch.cuda.device_count()] or [1, 2]
