"""validate.py on real checkpoints, compared with a plain evaluation of the same network."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from lib.data.layout import layout
from lib.models.registry import model_spec
from tests.conftest import Script

RUN = ("--model.name", "tiny", "--batch_size", 8, "--devices", "[cpu]")
CHECKPOINT = "models/checkpoints/epoch002_iter00000.pt"


def plain_probabilities(tmp_path: Path, crops: list[tuple[int, int, bool]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean probabilities (20, 4) of crops (top, left, mirrored), and labels, without any of the code under test."""
    at = layout(tmp_path / "data")
    parts = []
    for path in sorted(at.batch_dir("val", 16).iterdir()):
        with h5py.File(path) as file:
            parts.append(file["data"][()])
    images = np.concatenate(parts)
    images_BCHW = torch.from_numpy(images.astype(np.float32).transpose(0, 3, 1, 2) - np.load(at.mean))
    model = model_spec("tiny").build(4, 28).eval()
    model.load_state_dict(torch.load(tmp_path / CHECKPOINT, weights_only=True)["parameters"])
    total = torch.zeros(20, 4)
    for top, left, mirrored in crops:
        window = images_BCHW[:, :, top : top + 28, left : left + 28]
        total += model(window.flip(3) if mirrored else window).detach().softmax(1)
    return total / len(crops), torch.from_numpy(np.load(at.labels("val")))


@pytest.mark.parametrize(
    ("crops", "places"), [(1, [(2, 2)]), (2, [(2, 2)]), (10, [(2, 2), (0, 0), (0, 4), (4, 0), (4, 4)])]
)
def test_figures_against_a_plain_evaluation(
    tmp_path: Path, data_set: Path, run_script: Script, crops: int, places: list[tuple[int, int]]
) -> None:
    assert run_script("train.py", *RUN, "--run.n_epochs", 2).returncode == 0
    done = run_script("validate.py", *RUN, "--checkpoint", CHECKPOINT, "--crops", crops)
    assert done.returncode == 0, done.stderr
    out = tmp_path / f"models/checkpoints/epoch002_iter00000_{crops}crop"
    figures = json.loads((out / "figures.json").read_text())
    mirrors = (False,) if crops == 1 else (False, True)
    probabilities, labels = plain_probabilities(tmp_path, [(*place, m) for place in places for m in mirrors])
    assert figures["images"] == 20
    assert figures["loss"] == pytest.approx(float(-probabilities.log()[range(20), labels].mean()), rel=1e-5)
    assert figures["top1_error"] == int((probabilities.argmax(1) != labels).sum()) / 20
    rows = list(csv.reader((out / "confusion.csv").read_text().splitlines()))
    confusion = np.zeros((4, 4), int)
    np.add.at(confusion, (labels.numpy(), probabilities.argmax(1).numpy()), 1)
    assert [[int(cell) for cell in row[1:]] for row in rows[1:]] == confusion.tolist()


def test_two_workers_find_what_one_finds(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    assert run_script("train.py", *RUN, "--run.n_epochs", 2).returncode == 0
    one = run_script("validate.py", *RUN, "--out", "one")  # the best one of the run
    assert one.returncode == 0, one.stderr
    two = run_script(
        "validate.py", *RUN, "--out", "two", "--devices", "[cpu, cpu]", "--exchange.method", "peer", "--batch_size", 3
    )
    assert two.returncode == 0, two.stderr
    ours, theirs = (json.loads((tmp_path / name / "figures.json").read_text()) for name in ("one", "two"))
    assert ours.pop("checkpoint") == theirs.pop("checkpoint") == CHECKPOINT
    assert theirs == pytest.approx(ours, rel=1e-6)
    assert (tmp_path / "one/confusion.csv").read_text() == (tmp_path / "two/confusion.csv").read_text()


def test_exported_weights_have_the_same_figures(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    assert run_script("train.py", *RUN, "--run.n_epochs", 1).returncode == 0
    assert run_script("export.py", "tiny.safetensors").returncode == 0
    for path, out in (("models/checkpoints/epoch001_iter00000.pt", "one"), ("tiny.safetensors", "two")):
        done = run_script("validate.py", *RUN, "--checkpoint", path, "--out", out)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "one/classes.csv").read_text() == (tmp_path / "two/classes.csv").read_text()
    other = run_script("validate.py", *RUN, "--checkpoint", "tiny.safetensors", "--model.name", "alexnet")
    assert other.returncode == 2


def test_without_a_checkpoint(data_set: Path, run_script: Script) -> None:
    done = run_script("validate.py", *RUN)
    assert done.returncode == 2
    assert done.stderr == "error: there is no checkpoint in models; train one, or name another with --checkpoint\n"
    wrong = run_script("validate.py", *RUN, "--crops", 3)
    assert wrong.returncode == 2
    assert "crops" in wrong.stderr
