"""README shows what is there: its Python works."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lib as tandem
from lib.api import public
from lib.api.settings import arguments, read_config
from tests.support.checkpoints import write_run
from tests.support.pages import blocks
from tests.support.scripts import ROOT


def test_the_python_of_readme_works_once_the_network_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the training itself is left out; tests/api has it."""
    trained = tandem.Run(write_run(tmp_path))
    for name in ("photo.jpg", "other.png"):
        Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(tmp_path / name)

    def train(settings: dict[str, object]) -> tandem.Run:
        assert read_config(arguments(settings, config=None, workers=1)).model.name == "resnet18_d"
        return trained

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(public, "train", train)
    monkeypatch.setitem(sys.modules, "tandem", tandem)
    [code] = blocks(ROOT / "README.md", "python")
    exec(code)
    assert re.fullmatch(r"(class \d 0\.\d+\n){2}", capsys.readouterr().out)
