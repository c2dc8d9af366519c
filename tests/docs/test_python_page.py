"""The examples of docs/python.md run, and so do the cells of the notebook."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from PIL import Image

import lib
from lib.api.settings import arguments, read_config
from lib.api.training import Run
from lib.config.schema import Config
from tests.support.checkpoints import write_run
from tests.support.data_files import write_jpeg_folder
from tests.support.pages import blocks
from tests.support.scripts import ROOT

SMALL = {"model.name": "tiny", "data.img_size": 32, "batch_size": 8}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Change into a folder with photos and a run. Trainings end at once with that run; return their settings.

    Real trainings are in tests/api and tests/commands/test_installed.py.
    """
    asked: list[Config] = []
    batches = lib.Batches

    def train(settings: dict[str, Any]) -> Run:
        asked.append(read_config(arguments(settings, config=None, workers=1)))
        return Run(tmp_path / "models")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "tandem", lib)
    monkeypatch.setattr(lib, "train", train, raising=False)
    monkeypatch.setattr(lib, "Batches", lambda settings: batches(settings | SMALL), raising=False)
    write_jpeg_folder(tmp_path / "photos")
    np.save(write_run(tmp_path) / "val_record.npy", [[0.5, 2], [0.25, 1]])
    return asked


def test_the_examples_of_the_page_run(asked: list[Config]) -> None:
    Image.new("RGB", (50, 40), "red").save("photo.jpg")
    exec("\n".join(blocks(ROOT / "docs/python.md", "python")), {})
    assert [config.run.n_epochs for config in asked] == [20, 40]


def test_the_notebook_runs(asked: list[Config]) -> None:
    matplotlib.use("agg")
    notebook = json.loads((ROOT / "docs/python.ipynb").read_text())
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "a notebook in the repository has no outputs"
            exec("".join(cell["source"]), names)
    names["plt"].close("all")
    assert (len(asked), names["run"].best_epoch) == (1, 2)
    assert names["prediction"].best[0].name.startswith("class ")
    assert names["probabilities"].shape == (1, 4)
