"""Runs of train.py, started as a user starts them and observed through metrics.jsonl."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.command import ROOT, has_gpu
from benchmarks.watched import LoaderCores

_QUIET = (
    *("--logging.quiet", "true", "--logging.report", "false", "--logging.tensorboard", "false"),
    *("--run.resume", "never", "--run.snapshot_minutes", "0", "--run.snapshot_freq", "1000000"),
)
_POLL_S = 0.005
_SAMPLE_S = 0.2


def workers(count: int) -> list[str]:
    """Return the keys of the configuration for ``count`` workers, one per GPU, or on the CPU if there is none."""
    if not has_gpu():
        return ["--devices", json.dumps(["cpu"] * count), "--exchange.method", "peer" if count > 1 else "none"]
    devices = [f"cuda:{number}" for number in range(count)]
    return ["--devices", json.dumps(devices), "--exchange.method", "peer" if count > 1 else "none"]


class Finished(NamedTuple):
    """What is known of a run that has ended."""

    metrics: list[dict[str, Any]]
    """the lines of metrics.jsonl"""
    loader_cores: float
    """cores that each loader, with its decoders, kept busy from the first metrics on"""


def torchrun(count: int) -> list[str]:
    """Return the command that starts ``count`` workers of a script through torchrun, for ``finished``."""
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]  # at any free port
    return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), *rendezvous]


def finished(keys: Sequence[str], timeout_s: float, launcher: Sequence[str] = (sys.executable,)) -> Finished:
    """Run train.py to its end, started by ``launcher``. Raises RuntimeError if it fails, and TimeoutExpired."""
    with started(keys, {}, launcher) as (process, metrics):
        loaders, deadline = LoaderCores(process.pid), time.monotonic() + timeout_s
        while True:
            try:
                output, _ = process.communicate(timeout=_SAMPLE_S)
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    raise
            if metrics.is_file() and metrics.stat().st_size:
                loaders.sample()
        if process.returncode:
            raise RuntimeError(_failure(keys, process.returncode, output))
        lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
        return Finished(lines, loaders.mean)


def seconds_to_first_iteration(keys: Sequence[str], timeout_s: float, environment: Mapping[str, str]) -> float:
    """Return the seconds from the command to the metrics of the first iteration. The run is then ended."""
    start = time.perf_counter()
    with started([*keys, "--logging.print_freq", "1"], environment) as (process, metrics):
        while not (metrics.is_file() and metrics.stat().st_size):
            if process.poll() is not None:
                raise RuntimeError(_failure(keys, process.returncode, process.communicate()[0]))
            if time.perf_counter() - start > timeout_s:
                raise TimeoutError(f"train.py completed no iteration within {timeout_s:g} s")
            time.sleep(_POLL_S)
        return time.perf_counter() - start


@contextlib.contextmanager
def started(
    keys: Sequence[str], environment: Mapping[str, str], launcher: Sequence[str] = (sys.executable,)
) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """Start train.py with ``keys``; yield its process and metrics.jsonl. The run ends with the block."""
    with tempfile.TemporaryDirectory(prefix="run-") as folder:
        process = subprocess.Popen(
            [*launcher, str(ROOT / "train.py"), "--run.weights_dir", folder, *_QUIET, *keys],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process, Path(folder) / "metrics.jsonl"
        finally:
            end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """End a run and its processes at once, which a second signal asks for."""
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
    if process.stdout:
        process.stdout.close()


def _failure(keys: Sequence[str], status: int, output: str) -> str:
    return f"train.py {' '.join(keys)} ended with status {status}: {output[-2000:]}"
