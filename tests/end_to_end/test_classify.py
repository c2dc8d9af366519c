"""classify.py with the best checkpoint of a real run agrees with a plain evaluation of the same network."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lib.data.packed.layout import layout
from lib.models.registry import model_spec
from tests.support.data_sets import write_data_set
from tests.support.scripts import ROOT, Script, command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a data set, the models of a run, and three images, one of them broken."""
    folder = tmp_path_factory.mktemp("classify")
    write_data_set(folder / "data", n_classes=7)
    run = ["--model.name", "tiny", "--batch_size", "8", "--devices", "[cpu]", "--run.n_epochs", "1"]
    subprocess.run(command("train.py", *run), cwd=folder, check=True, capture_output=True)
    rng = np.random.default_rng(0)
    (folder / "photos/more").mkdir(parents=True)
    for name in ("photos/a.png", "photos/more/b.png"):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / name)
    (folder / "photos/broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    return folder


def expected(folder: Path, picture: str, crops: list[tuple[int, int, bool]]) -> list[float]:
    """Return the probability of each class, without the code under test."""
    with Image.open(folder / picture) as image:
        pixels = np.asarray(image).astype(np.float32).transpose(2, 0, 1)
    image_1CHW = torch.from_numpy(pixels - np.load(layout(folder / "data").mean))[None]
    model = model_spec("tiny").build(7, 28).eval()
    checkpoint = folder / "models/checkpoints/epoch001_iter00000.pt"
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["parameters"])
    windows = [(image_1CHW[:, :, t : t + 28, left : left + 28], mirrored) for t, left, mirrored in crops]
    total = sum(model(window.flip(3) if mirrored else window).detach().softmax(1) for window, mirrored in windows)
    return list(map(float, (total / len(crops))[0]))


def test_a_run_folder_and_an_image_are_enough(folder: Path, run_here: Script) -> None:
    done = run_here("classify.py", folder / "photos/a.png", "--checkpoint", folder / "models")
    assert done.returncode == 0, done.stderr
    probabilities = expected(folder, "photos/a.png", [(2, 2, False)])
    order = sorted(range(7), key=lambda index: -probabilities[index])[:5]
    assert done.stdout == "".join(f"class {index} (score = {probabilities[index]:.5f})\n" for index in order)


def test_a_broken_image_in_a_folder_does_not_stop_the_others(folder: Path, run_here: Script) -> None:
    done = run_here("classify.py", "photos", "nowhere.png", "--top", 2, "--json", "--crops", 10, cwd=folder)
    assert done.returncode == 2
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["picture"] for line in lines] == ["photos/a.png", "photos/more/b.png"]
    errors = done.stderr.splitlines()
    assert errors[0].startswith("error: photos/broken.jpg: it is none of JPEG, PNG")
    assert errors[1] == "error: nowhere.png: it cannot be read: No such file or directory"
    places = [(2, 2), (0, 0), (0, 4), (4, 0), (4, 4)]
    probabilities = expected(folder, "photos/more/b.png", [(*place, m) for place in places for m in (False, True)])
    first = lines[1]["best"][0]
    assert first["class"] == int(np.argmax(probabilities))
    assert first["score"] == pytest.approx(max(probabilities), rel=1e-5)
    assert (first["folder"], first["name"]) == (f"n{first['class']:08d}", f"class {first['class']}")
    assert len(lines[1]["best"]) == 2


def test_file_names_from_stdin_give_a_csv_table(
    folder: Path, run_here: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("photos/more/b.png\n\nphotos/a.png\n"))
    done = run_here("classify.py", "-", "--csv", "--top", 9, cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [row["picture"] for row in rows] == ["photos/more/b.png"] * 7 + ["photos/a.png"] * 7
    assert [int(row["place"]) for row in rows[:7]] == list(range(1, 8))
    assert sum(float(row["score"]) for row in rows[:7]) == pytest.approx(1, abs=1e-4)


def test_a_closed_pipe_is_no_error(folder: Path) -> None:
    names = "photos/a.png\\n" * 300
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"printf '{names}' | {sys.executable} {ROOT}/classify.py - --top 1 | head -1"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "photos/a.png:\n", "")


def test_without_weights_the_error_names_where_to_get_them(folder: Path, run_here: Script) -> None:
    done = run_here("classify.py", folder / "photos/a.png")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there are no weights in models; train some with train.py, ")
    assert "https://hdl.handle.net/10864/10911" in done.stderr
    assert done.stderr.count("\n") == 1


def test_weights_of_other_programs_need_their_classes_and_mean(folder: Path, run_here: Script) -> None:
    (folder / "other.caffemodel").write_bytes(b"\n\x01x")
    done = run_here("classify.py", "photos/a.png", "--checkpoint", "other.caffemodel", cwd=folder)
    assert done.returncode == 2
    assert "other.caffemodel is no checkpoint of this program; weights of other programs need --model" in done.stderr


@pytest.mark.parametrize("script", ["classify.py", "export.py"])
def test_help_shows_how_the_script_is_called(run_here: Script, script: str) -> None:
    done = run_here(script, "--help")
    assert done.returncode == 0
    assert "--checkpoint PATH" in done.stdout
    assert f"python {script} " in done.stdout
