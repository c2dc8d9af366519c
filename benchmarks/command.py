"""What every benchmark's command has in common: its options, the machine's line, the table and the JSON."""

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

from benchmarks.harness import Row
from lib.commands.report_errors import report_errors

ROOT = Path(__file__).parents[1]


def run(main: Callable[[Sequence[str]], int]) -> int:
    """``main`` on this process's command line: the exit status. SIGTERM, too, takes along all it started and wrote."""
    signal.signal(signal.SIGTERM, _leave)
    return report_errors(lambda: main(sys.argv[1:]))


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def parser(name: str, description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    made.add_argument("--json", action="store_true", help="end with a line of JSON")
    made.add_argument("--rounds", type=positive, default=rounds, help="turns of each contender")
    return made


def positive(text: str) -> int:
    """An argument that counts something."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is below 1")
    return value


def has_gpu() -> bool:
    """Whether sizes are to be those of a GPU."""
    return torch.cuda.is_available()


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
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
    """Print the table, ``notes`` below it, and with --json a last line of JSON."""
    settings = {key: value for key, value in vars(arguments).items() if key != "json"}
    here = machine()
    gpus = f"{here['gpus']} x {here['device']}, " if here["gpus"] else ""
    print(f"{gpus}{here['cores']} cores of {here['cpu']}, torch {here['torch']}")
    print(" ".join(f"{key}={value}" for key, value in settings.items()))
    width = max(len(text) for row in rows for text in (row.name, row.case)) + 2
    for case in dict.fromkeys(row.case for row in rows):
        print(f"\n{case or name:<{width}} {'median':>12} {'lowest':>12} {'highest':>12} {'ratio':>7}")
        for row in (row for row in rows if row.case == case):
            figures = " ".join(f"{_short(value):>12}" for value in (row.median, row.low, row.high))
            print(f"{row.name:<{width}} {figures} {row.ratio:>7.2f}  {row.unit}")
    print("".join(f"\n{text}: {_short(value)}" for text, value in (notes or {}).items()))
    if arguments.json:
        told = {"machine": here, "settings": settings, "rows": [row.as_json() for row in rows], "notes": notes or {}}
        print(json.dumps({"benchmark": name} | told, default=str), flush=True)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _cpu() -> str:
    """The processor's name, as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def take_keys(parser: argparse.ArgumentParser) -> None:
    """Let whatever stands after ``--`` through to train.py's own command line."""
    parser.add_argument("keys", nargs="*", metavar="-- --KEY VALUE", help="more keys for the configuration of ours")


def worker_counts() -> list[int]:
    """How many workers are tried: on as many GPUs; without any, two on the CPU."""
    return [count for count in (1, 2, 4, 8) if count <= torch.cuda.device_count()] or [1, 2]
