"""classify.py says where weights of another program see other images than they were trained on."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lib.commands.classify import classify
from lib.models.registry import model_spec
from lib.types import Variant


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a state dict that takes every image for class 2, and 20 images; return the file."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(20):
        Image.fromarray(np.full((8, 8, 3), 10 * number, np.uint8)).save(f"photos/{number}.png")
    Path("synset_words.txt").write_text("n0 a\nn1 b\nn2 c\n")
    model = model_spec("tiny").build(3, 227)
    with torch.no_grad():
        list(model.parameters())[-1].copy_(torch.tensor([0.0, 0.0, 1000.0]))
    torch.save(model.state_dict(), "w.pth")
    return tmp_path / "w.pth"


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["classify.py", *words])
    return classify("")


def test_one_class_for_nearly_all_images_of_foreign_weights_is_a_warning(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", ".", "--checkpoint", str(weights), "--model.name", "tiny", "--top", "1", "--device", "cpu"]
    assert run(monkeypatch, "photos", *words) == 0
    captured = capsys.readouterr()
    assert captured.out.count("c (score = 1.00000)") == 20
    assert captured.err.partition("\n")[2] == (
        "warning: 100 % of 20 images are taken for class 2; unless they are of it, the inputs may differ from those of "
        "the training: see --model.made_for\n"
    )
    assert run(monkeypatch, "photos/0.png", *words, "--model.made_for", "order=bgr mean=104,117,123") == 0
    assert "warning" not in capsys.readouterr().err


def test_the_size_that_foreign_weights_get_is_said(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", ".", "--checkpoint", "w.pth", "--model", "tiny", "--device", "cpu"]
    assert run(monkeypatch, "photos/0.png", *words, "--data.img_size", "144", "--model.crop", "128") == 0
    said = "images are resized to 144 x 144, and the network sees 128 x 128 of them (--img_size, --model.crop)"
    assert capsys.readouterr().err == f"w.pth: {said}\n"


def test_foreign_weights_of_a_varied_network(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    varied = Variant(width=0.5, activation="mish", blurpool=True, crop=64)
    torch.save(model_spec("resnet18_d").build(3, 64, variant=varied).state_dict(), tmp_path / "varied.pth")
    words = ["--data", ".", "--checkpoint", str(tmp_path / "varied.pth"), "--model", "resnet18_d", "--device", "cpu"]
    options = ["--model.width", "0.5", "--model.activation", "mish", "--model.blurpool", "true", "--model.crop", "64"]
    assert run(monkeypatch, "photos/0.png", *words, *options) == 0
    assert "score" in capsys.readouterr().out
    assert run(monkeypatch, "photos/0.png", *words) == 2
    assert "varied.pth" in capsys.readouterr().err


def test_a_wrong_option_is_one_line(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "photos", "--data", ".", "--checkpoint", str(weights), "--made_for", "BGR") == 2
    assert capsys.readouterr().err.startswith("error: --made_for is BGR; it must be one of auto, torchvision, caffe,")
