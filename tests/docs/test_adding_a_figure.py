"""The worked example of a figure is recorded everywhere, and touches at most three files."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.support.pages import blocks
from tests.support.scripts import ROOT
from tests.support.worked_example import apply_example

PAGE = ROOT / "docs/adding_a_figure.md"
OPTIONS = (
    *("--data.source", "synthetic", "--data.img_size", "36", "--model.name", "tiny", "--batch_size", "8"),
    *("--devices", "[cpu, cpu]", "--exchange.method", "peer", "--run.n_epochs", "1", "--run.limit_batches", "4"),
    *("--logging.print_freq", "2", "--compute.threads", "1"),
)


def test_the_example_touches_at_most_three_files_and_60_lines(tmp_path: Path) -> None:
    assert apply_example(PAGE, tmp_path) <= 60
    files = re.findall("^--- (.*)", "\n".join(blocks(PAGE, "diff")), flags=re.MULTILINE)
    assert len(files) == len(set(files)) <= 3


def test_the_example_is_in_metrics_console_tensorboard_and_report(tmp_path: Path) -> None:
    apply_example(PAGE, tmp_path)
    done = subprocess.run(
        [sys.executable, "train.py", *OPTIONS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-1000:]
    entries = [json.loads(line) for line in (tmp_path / "models/metrics.jsonl").read_text().splitlines()]
    norms = [entry["gradient_norm"] for entry in entries if entry["kind"] == "train"]
    assert len(norms) == 2
    assert min(norms) > 0
    assert len(re.findall(r"iteration \d/4 .* gradient norm \d", done.stdout)) == 2
    events = EventAccumulator(str(tmp_path / "models/tensorboard")).Reload()
    assert len(events.Scalars("train/gradient_norm")) == 2
    html = (tmp_path / "models/report.html").read_text()
    assert '<figure id="gradient_norm">' in html
    assert "gpu_memory" not in html  # no worker has a GPU
