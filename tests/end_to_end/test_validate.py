"""validate.py on real checkpoints agrees with a plain evaluation of the same network."""

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from lib.data.packed.layout import layout
from lib.models.registry import model_spec
from tests.support.data_sets import write_data_set
from tests.support.scripts import Script, command

RUN = ("--model.name", "tiny", "--batch_size", 8, "--devices", "[cpu]")
CHECKPOINT = "models/checkpoints/epoch002_iter00000.pt"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two epochs and its data set."""
    folder = tmp_path_factory.mktemp("validate")
    write_data_set(folder / "data")
    assert run("train.py", folder, *RUN, "--run.n_epochs", 2).returncode == 0
    return folder


def run(script: str, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(script, *arguments), cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def evaluated(trained: Path) -> Callable[[int], Path]:
    """Return the folder with the metrics for this number of crops."""

    @cache
    def evaluate(crops: int) -> Path:
        done = run("validate.py", trained, *RUN, "--checkpoint", CHECKPOINT, "--crops", crops)
        assert done.returncode == 0, done.stderr
        return trained / f"models/checkpoints/epoch002_iter00000_{crops}crop"

    return evaluate


def plain_probabilities(folder: Path, crops: list[tuple[int, int, bool]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean probabilities (20, 4) over crops (top, left, mirrored), and labels, without the code under test."""
    at = layout(folder / "data")
    parts = []
    for path in sorted(at.batch_dir("val", 16).iterdir()):
        with h5py.File(path) as file:
            parts.append(file["data"][()])
    images = np.concatenate(parts)
    images_BCHW = torch.from_numpy(images.astype(np.float32).transpose(0, 3, 1, 2) - np.load(at.mean))
    model = model_spec("tiny").build(4, 28).eval()
    model.load_state_dict(torch.load(folder / CHECKPOINT, weights_only=True)["parameters"])
    total = torch.zeros(20, 4)
    for top, left, mirrored in crops:
        window = images_BCHW[:, :, top : top + 28, left : left + 28]
        total += model(window.flip(3) if mirrored else window).detach().softmax(1)
    return total / len(crops), torch.from_numpy(np.load(at.labels("val")))


@pytest.mark.parametrize(
    ("crops", "places"), [(1, [(2, 2)]), (2, [(2, 2)]), (10, [(2, 2), (0, 0), (0, 4), (4, 0), (4, 4)])]
)
def test_figures_are_those_of_a_plain_evaluation(
    trained: Path, evaluated: Callable[[int], Path], crops: int, places: list[tuple[int, int]]
) -> None:
    out = evaluated(crops)
    figures = json.loads((out / "figures.json").read_text())
    mirrors = (False,) if crops == 1 else (False, True)
    probabilities, labels = plain_probabilities(trained, [(*place, m) for place in places for m in mirrors])
    assert figures["images"] == 20
    assert figures["loss"] == pytest.approx(float(-probabilities.log()[range(20), labels].mean()), rel=1e-5)
    assert figures["top1_error"] == int((probabilities.argmax(1) != labels).sum()) / 20
    assert figures["accuracy"] == pytest.approx(1 - figures["top1_error"])
    rows = list(csv.reader((out / "confusion.csv").read_text().splitlines()))
    confusion = np.zeros((4, 4), int)
    np.add.at(confusion, (labels.numpy(), probabilities.argmax(1).numpy()), 1)
    assert [[int(cell) for cell in row[1:]] for row in rows[1:]] == confusion.tolist()


def test_two_workers_give_the_figures_of_one(trained: Path, evaluated: Callable[[int], Path]) -> None:
    one = evaluated(1)
    workers = ("--devices", "[cpu, cpu]", "--exchange.method", "peer", "--batch_size", 3)
    two = run("validate.py", trained, *RUN, "--out", "two", "--checkpoint", CHECKPOINT, *workers)
    assert two.returncode == 0, two.stderr
    ours, theirs = (json.loads((folder / "figures.json").read_text()) for folder in (one, trained / "two"))
    assert ours.pop("checkpoint") == theirs.pop("checkpoint") == CHECKPOINT
    assert ours.pop("crop") == theirs.pop("crop") == "center"
    assert theirs == pytest.approx(ours, rel=1e-6)
    assert (one / "confusion.csv").read_text() == (trained / "two/confusion.csv").read_text()


def test_exported_weights_have_the_figures_of_the_best_checkpoint(trained: Path, run_here: Script) -> None:
    assert run_here("export.py", "tiny.safetensors", cwd=trained).returncode == 0
    for options, out in (((), "best"), (("--checkpoint", "tiny.safetensors"), "exported")):
        done = run("validate.py", trained, *RUN, *options, "--out", out)
        assert done.returncode == 0, done.stderr
    assert (trained / "best/classes.csv").read_text() == (trained / "exported/classes.csv").read_text()


def test_weights_that_do_not_say_their_size_are_evaluated_at_one_that_is_said(trained: Path) -> None:
    torch.save(torch.load(trained / CHECKPOINT, weights_only=True)["parameters"], trained / "raw.pth")
    done = run("validate.py", trained, *RUN, "--checkpoint", "raw.pth", "--model.crop", 24, "--run.limit_batches", 1)
    assert done.returncode == 0, done.stderr
    said = "images are resized to 32 x 32, and the network sees 24 x 24 of them (data.img_size, model.crop)"
    assert f"raw.pth: {said}\n" in done.stdout


def test_whole_images_of_some_classes_are_evaluated_with_the_mean_of_the_weights(trained: Path) -> None:
    part, rng = trained / "part", np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 32, 32, 3), np.uint8)
    for number, image in enumerate(pixels):
        folder = part / f"n{2 * (number % 2):08d}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    done = run("validate.py", trained, "--checkpoint", CHECKPOINT, "--data.dir", part, "--crop", "whole")
    assert done.returncode == 0, done.stderr
    assert "part has no images of 2 of the 4 classes of the network: n00000001, n00000003" in done.stdout
    whole = torch.from_numpy(pixels.astype(np.float32).transpose(0, 3, 1, 2))
    mean = torch.from_numpy(np.load(layout(trained / "data").mean))
    images, mean = (interpolate(x, (28, 28), mode="bilinear", antialias=True) for x in (whole, mean[None]))
    model = model_spec("tiny").build(4, 28).eval()
    model.load_state_dict(torch.load(trained / CHECKPOINT, weights_only=True)["parameters"])
    losses = -model(images.round() - mean).detach().log_softmax(1)
    out = (trained / CHECKPOINT).with_name("epoch002_iter00000_whole_1crop_part")  # of a data set of its own
    figures = json.loads((out / "figures.json").read_text())
    assert (figures["images"], figures["crop"]) == (6, "whole")
    assert figures["loss"] == pytest.approx(float(losses[range(6), [0, 2] * 3].mean()), rel=1e-5)


def test_a_missing_checkpoint_is_an_error_of_one_line(data_set: Path, run_here: Script) -> None:
    done = run_here("validate.py", *RUN)
    assert done.returncode == 2
    assert done.stderr == "error: there is no checkpoint in models; train one, or name another with --checkpoint\n"
    wrong = run_here("validate.py", *RUN, "--crops", 3)
    assert wrong.returncode == 2
    assert "crops" in wrong.stderr


def test_classes_are_matched_by_the_names_of_their_folders(
    trained: Path, evaluated: Callable[[int], Path], tmp_path: Path
) -> None:
    """Folder names move to other numbers, so the network's outputs follow them."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    at = layout(tmp_path / "data")
    classes = json.loads(at.classes.read_text())
    wnids = [c["wnid"] for c in classes]
    at.classes.write_text(json.dumps([c | {"wnid": wnids[c["index"] - 1]} for c in classes]))
    checkpoint = ("--checkpoint", CHECKPOINT, "--data.dir", at.dir)
    done = run("validate.py", tmp_path, *RUN, *checkpoint, "--out", "named")
    assert "has these classes in another order: they are matched by name" in done.stdout
    probabilities, labels = plain_probabilities(tmp_path, [(2, 2, False)])
    figures = json.loads((tmp_path / "named/figures.json").read_text())
    loss = -probabilities.roll(1, 1).log()[range(20), labels].mean()
    assert figures["loss"] == pytest.approx(float(loss), rel=1e-5)
    at.classes.write_text(json.dumps([c | {"wnid": f"m{c['index']}"} for c in classes]))
    refused = run("validate.py", tmp_path, *RUN, *checkpoint)
    assert refused.returncode == 2
    assert (
        "was trained on other classes: 4 of its classes are not in this data set, such as n00000000" in refused.stderr
    )
    done = run("validate.py", tmp_path, *RUN, *checkpoint, "--model.classes", "by_order", "--out", "ordered")
    by_order, before = (json.loads((f / "figures.json").read_text()) for f in (tmp_path / "ordered", evaluated(1)))
    assert by_order["loss"] == before["loss"]
