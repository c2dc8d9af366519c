"""The examples of docs/exports.md give the figures of classify.py, on pictures of many sizes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lib as tandem
from lib.evaluation.exported import metadata
from tests.support.checkpoints import write_run
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


@pytest.mark.parametrize(("name", "code"), [("network.onnx", ONNX), ("network.safetensors", SAFETENSORS)])
def test_the_examples_give_the_figures_of_classify(tmp_path: Path, run_here: Script, name: str, code: str) -> None:
    pytest.importorskip("onnxscript")
    write_run(tmp_path)
    assert run_here("export.py", name).returncode == 0
    network = tandem.open(tmp_path / name, device="cpu")
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
        in_python = {one.name: one.probability for one in network.predict(path).best}
        assert in_python == pytest.approx(expected, abs=1e-5), path.name
        assert max(expected.values()) - min(expected.values()) > 5 * MOST, "a network that tells nothing apart"
    if name.endswith(".onnx"):
        with pytest.raises(tandem.UserError, match="open the checkpoint"):
            _ = network.model


def test_the_page_lists_all_metadata() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), flags=re.MULTILINE)
    assert set(metadata(predictor())) == set(listed)
