"""Evaluating a subset within an epoch changes nothing but what is known."""

import json
import signal
from pathlib import Path

import torch

from tests.conftest import Script, command
from tests.end_to_end.test_training import interrupt

RUN = ("--model.name", "tiny", "--batch_size", 4, "--run.n_epochs", 2, "--devices", "[cpu, cpu]")


def test_weights_are_those_of_a_run_without_it(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    often = run_script("train_2gpu.py", *RUN, "--logging.val_freq", 2, "--logging.val_images", 7)
    assert often.returncode == 0, often.stderr
    plain = run_script("train_2gpu.py", *RUN, "--run.weights_dir", "plain")
    assert plain.returncode == 0, plain.stderr
    name = "checkpoints/epoch002_iter00000.pt"
    a, b = (torch.load(tmp_path / folder / name, weights_only=True) for folder in ("models", "plain"))
    for part in ("parameters", "velocities"):
        assert all(torch.equal(value, b[part][key]) for key, value in a[part].items())
    entries = [json.loads(line) for line in (tmp_path / "models/metrics.jsonl").read_text().splitlines()]
    subset = [e for e in entries if e["kind"] == "val_subset"]
    assert [(e["epoch"], e["iteration"], e["images"]) for e in subset] == [(n, i, 7) for n in (1, 2) for i in (2, 4)]
    assert "epoch 2, iteration 4: 7 validation images: loss " in often.stdout
    train = [e for e in entries if e["kind"] == "train"]
    assert [sum(e["images"] for e in train if e["epoch"] == epoch) for epoch in (1, 2)] == [48, 48]


def test_a_subset_of_all_images_has_the_figures_of_the_validation(
    tmp_path: Path, data_set: Path, run_script: Script
) -> None:
    """At a rate of almost zero the last iterations change nothing that can be seen."""
    options = ("--logging.val_freq", 5, "--logging.val_images", 20, "--optimizer.learning_rate", 1e-12)
    assert run_script("train_2gpu.py", *RUN, *options).returncode == 0
    entries = [json.loads(line) for line in (tmp_path / "models/metrics.jsonl").read_text().splitlines()]
    subset, val = (next(e for e in entries if e["kind"] == kind) for kind in ("val_subset", "val"))
    assert (subset["top1_error"], subset["images"]) == (val["top1_error"], val["images"])
    assert abs(subset["loss"] - val["loss"]) < 1e-6


def test_a_run_broken_off_and_resumed_leaves_the_same(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    options = (*RUN, "--logging.val_freq", 2, "--logging.val_images", 7, "--logging.print_freq", 1)
    assert run_script("train_2gpu.py", *options, "--run.weights_dir", "whole").returncode == 0
    metrics = tmp_path / "models/metrics.jsonl"
    words = command("train_2gpu.py", *options)
    status, stderr = interrupt(words, tmp_path, metrics, 3, signal.SIGTERM)  # about where the first one is due
    assert status == 128 + signal.SIGTERM, stderr
    assert run_script("train_2gpu.py", *options).returncode == 0
    name = "checkpoints/epoch002_iter00000.pt"
    a, b = (torch.load(tmp_path / folder / name, weights_only=True) for folder in ("models", "whole"))
    assert all(torch.equal(value, b["parameters"][key]) for key, value in a["parameters"].items())
    figures = [
        [
            (e["epoch"], e["iteration"], e["loss"], e["top1_error"])
            for e in map(json.loads, (tmp_path / folder / "metrics.jsonl").read_text().splitlines())
            if e["kind"] == "val_subset"
        ]
        for folder in ("models", "whole")
    ]
    assert figures[0] == figures[1]
