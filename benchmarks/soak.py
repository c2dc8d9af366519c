"""Train with two workers on CPUs for an hour, with a checkpoint every minute and a reader of metrics.jsonl.

Memory, descriptors and threads of every process must not grow, and the images per second must not change. After a
warm-up, the first ten minutes are compared with the last (in shorter runs, thirds of the run). The exit status is 1 if
anything but the speed changed: the speed also depends on other programs on the machine.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import command
from benchmarks.command import ROOT, machine
from benchmarks.training import end
from benchmarks.watched import Sample, roles, sample

# Allocators settle in this fraction of the run, or in two minutes if those are shorter.
_WARM_UP, _WARM_UP_S = 0.2, 120.0
_WINDOW_S = 600.0
_SAMPLES = 1000
# Largest changes that count as flat: allocators take and return pages.
_SLACK_BYTES = 4 << 20
_SLACK = 0.02
_SPEED = 0.05
_START_S = 120.0
# Small images, and epochs of about a minute.
_IMAGES = ("--img-size", "64", "--train-images", "512", "--val-images", "256")
_TRAINING = (
    *("--model.name", "tiny", "--devices", "[cpu, cpu]", "--batch_size", "32", "--run.n_epochs", "1000000"),
    *("--run.snapshot_freq", "1000000", "--data.sampling", "class_uniform", "--logging.report", "false"),
)


class Change(NamedTuple):
    """A figure at the start and at the end of the run."""

    process: str
    what: str
    first: float
    last: float
    flat: bool


def main(argv: Sequence[str]) -> int:
    """Run the soak; return exit status 0 if everything stayed flat."""
    options = _options(argv)
    with tempfile.TemporaryDirectory() as folder:
        _draw(Path(folder))
        samples, speeds, status = soak(Path(folder), options.minutes, options.epoch_size)
    rows = judge(samples, 60 * options.minutes)
    speed = compare_speed(speeds, 60 * options.minutes)
    show(rows, speed)
    flat = status == 128 + signal.SIGINT and all(row.flat for row in rows)
    if options.json:
        result = {"minutes": options.minutes, "flat": flat, "status": status, "speed": speed._asdict()}
        result["rows"] = [row._asdict() for row in rows]
        print(json.dumps({"benchmark": "soak", "machine": machine(), **result}), flush=True)
    return 0 if flat else 1


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=60, help="minutes of training (default: 60)")
    parser.add_argument("--epoch-size", type=int, default=2000, help="iterations of an epoch (default: 2000)")
    parser.add_argument("--json", action="store_true", help="print a line of JSON at the end")
    return parser.parse_args(argv)


def _draw(folder: Path) -> None:
    script = str(ROOT / "preprocessing/generate_toy_data.sh")
    words = [script, *_IMAGES, "--tar_root_dir", str(folder / "data")]
    python = {"PYTHON": sys.executable}
    subprocess.run(words, check=True, env=os.environ | python, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def soak(
    folder: Path, minutes: float, epoch_size: int
) -> tuple[dict[str, list[Sample]], list[tuple[float, float]], int]:
    """Train; return the samples of every process, (seconds, images per second) of every line, and the exit status."""
    metrics = folder / "models/metrics.jsonl"
    words = [sys.executable, str(ROOT / "train_2gpu.py"), *_TRAINING, "--data.dir", str(folder / "data")]
    words += ["--run.weights_dir", str(metrics.parent), "--run.snapshot_minutes", str(min(1, minutes / 10))]
    words += ["--data.epoch_size", str(epoch_size)]
    run = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_for(lambda: metrics.exists() and metrics.stat().st_size > 0, run)
        pids = roles(run.pid)
        samples: dict[str, list[Sample]] = {name: [] for name in pids}
        speeds: list[tuple[float, float]] = []
        start, read = time.monotonic(), 0
        while (seconds := time.monotonic() - start) < 60 * minutes:
            for name, pid in pids.items():
                samples[name].append(sample(pid, seconds))
            new, read = _read(metrics, read)
            speeds += [(seconds, entry["images_per_s"]) for entry in new if entry["kind"] == "train"]
            time.sleep(60 * minutes / _SAMPLES)
        run.send_signal(signal.SIGINT)
        return samples, speeds, run.wait(_START_S)
    finally:
        end(run)


def _wait_for(there: Callable[[], bool], run: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while not there():
        if run.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"error: training did not start within {_START_S:g} s; see the output above")
        time.sleep(0.1)


def _read(path: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """Return the complete lines from ``offset`` on, and the offset of the next line."""
    with path.open("rb") as file:
        file.seek(offset)
        complete, newline, _ = file.read().rpartition(b"\n")
    return [json.loads(line) for line in complete.splitlines()], offset + len(complete + newline)


def windows(values: Sequence[tuple[float, float]], seconds: float) -> tuple[float, float]:
    """Return the medians of the first and the last window of (seconds, value), without the warm-up.

    >>> windows([(second, float(second)) for second in range(100)], 100)
    (36.5, 83.0)
    """
    warm = min(_WARM_UP * seconds, _WARM_UP_S)
    width = min(_WINDOW_S, seconds / 3)
    first = [value for at, value in values if warm <= at < warm + width]
    last = [value for at, value in values if at >= seconds - width]
    if not first or not last:
        raise SystemExit("error: the run is too short to compare its start with its end; raise --minutes")
    return median(first), median(last)


def judge(samples: dict[str, list[Sample]], seconds: float) -> list[Change]:
    """Return the changes of each process. A decrease counts as flat."""
    rows = []
    for name, mine in samples.items():
        for what in ("own_bytes", "shared_bytes", "descriptors", "threads"):
            first, last = windows([(s.seconds, float(getattr(s, what))) for s in mine], seconds)
            slack = max(_SLACK_BYTES, _SLACK * first) if what.endswith("bytes") else 0
            rows.append(Change(name, what, first, last, last <= first + slack))
    return rows


def compare_speed(speeds: Sequence[tuple[float, float]], seconds: float) -> Change:
    """Return the change of the images per second."""
    first, last = windows(speeds, seconds)
    return Change("run", "images_per_s", first, last, abs(last - first) <= _SPEED * first)


def show(rows: Sequence[Change], speed: Change) -> None:
    """Print the changes as a table."""
    print(f"{'process':<12} {'what':<14} {'first':>14} {'last':>14}")
    for row in (*rows, speed):
        print(
            f"{row.process:<12} {row.what:<14} {row.first:>14,.0f} {row.last:>14,.0f}  {'' if row.flat else 'changed'}"
        )


if __name__ == "__main__":
    sys.exit(command.run(main))
