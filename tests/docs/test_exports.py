"""The examples of docs/exports.md give the figures of classify.py, on pictures of many sizes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lib.checkpoints.checkpoint import Checkpoint, Identity, Preparation
from lib.checkpoints.folder import CheckpointFolder
from lib.evaluation.exported import metadata
from lib.models.registry import model_spec
from tests.support.pages import blocks
from tests.support.predictors import predictor
from tests.support.scripts import ROOT, Script

PAGE = ROOT / "docs/exports.md"
ONNX, SAFETENSORS = blocks(PAGE, "python")
SIZES = ((32, 32), (31, 200), (640, 480), (500, 33), (5, 7))
MOST = 0.02
"""how far a probability may be off: pixels resized by Pillow differ by up to two levels"""


def photos(folder: Path) -> list[Path]:
    """Write colored pictures of many sizes, one of them lying on its side."""
    rng = np.random.default_rng(0)
    paths = []
    for number, (width, height) in enumerate(SIZES):
        small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 2 else 1
        paths.append(folder / f"photo{number}.png")
        small.resize((width, height), Image.Resampling.BICUBIC).save(paths[-1], exif=exif)
    return paths


def write_checkpoint(folder: Path) -> None:
    """Write the folder "models" of a run, whose network tells the photos apart."""
    torch.manual_seed(2)
    model = model_spec("tiny").build(4, 28)
    with torch.no_grad():
        for value in model.parameters():
            value *= 3
    saved = Checkpoint(
        identity=Identity(model="tiny", n_classes=4, img_size=32, data_fingerprint="abc"),
        preparation=Preparation(
            resize="crop",
            mean=255 * torch.rand(3, 32, 32),
            classes=tuple((f"n{i}", f"class {i}") for i in range(4)),
            std=(60.0, 50.0, 40.0),
        ),
        seed=1,
        total_batch_size=16,
        epoch=1,
        iteration=0,
        val_record=torch.zeros(1, 2, dtype=torch.float64),
        parameters=model.state_dict(),
        momentum={},
    )
    CheckpointFolder(folder / "models/checkpoints", keep=1).save(saved, is_best=True)


@pytest.mark.parametrize(("name", "code"), [("network.onnx", ONNX), ("network.safetensors", SAFETENSORS)])
def test_the_examples_give_the_figures_of_classify(tmp_path: Path, run_here: Script, name: str, code: str) -> None:
    pytest.importorskip("onnxscript")
    write_checkpoint(tmp_path)
    assert run_here("export.py", name).returncode == 0
    for path in photos(tmp_path):
        classified = run_here("classify.py", path, "--json")
        expected = {one["name"]: one["score"] for one in json.loads(classified.stdout)["best"]}
        done = subprocess.run(
            [sys.executable, "-c", code, path],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = {name: float(score) for name, score in re.findall(r"^(.*) \(score = (.*)\)$", done.stdout, re.M)}
        assert found == pytest.approx(expected, abs=MOST), path.name
        assert max(expected.values()) - min(expected.values()) > 5 * MOST, "a network that tells nothing apart"


def test_the_page_lists_all_metadata() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), flags=re.MULTILINE)
    assert set(metadata(predictor())) == set(listed)
