"""``model.weights: torchvision``: the weights that torchvision publishes, which are downloaded once."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import lib as tandem
from lib.commands.pretrained import fetch_weights
from lib.config.schema import Config, ModelConfig, RunConfig
from lib.errors import WeightsError
from lib.formats import torchvision
from lib.formats.registry import read_weights
from lib.models.registry import MODELS
from lib.training.fine_tuning import start_from
from tests.support.torchvision import publish

NETWORK = "squeezenet_v1_1"


def network(n_classes: int) -> nn.Module:
    model: nn.Module = MODELS[NETWORK].build(n_classes, 64)
    return model


def test_a_network_starts_from_published_weights_but_for_its_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    published = publish(tmp_path, monkeypatch, NETWORK, "squeezenet1_1")
    model = network(10)
    new = ["classifier.1.weight", "classifier.1.bias"]
    done = start_from(model, "torchvision", None, network=NETWORK)
    assert done.startswith(
        f"torchvision, all but {', '.join(new)}, which are new: 10 classes here, 1000 there; made for"
    )
    assert capsys.readouterr().out.startswith("downloading file://")
    for name, value in model.state_dict().items():
        if name == "features.0.weight":  # torchvision's inputs are 0 to 1, divided by a std
            factor = torch.tensor([255 * 0.229, 255 * 0.224, 255 * 0.225]).view(3, 1, 1)
            torch.testing.assert_close(value * factor, published[name])
        elif name not in new:
            assert torch.equal(value, published[name])


def test_what_was_downloaded_is_not_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(tmp_path, monkeypatch, NETWORK, "squeezenet1_1")
    first = torchvision.fetch("torchvision", NETWORK)
    assert first.parent == tmp_path / "home/hub/checkpoints"
    (tmp_path / first.name).unlink()
    capsys.readouterr()
    assert torchvision.fetch("torchvision:IMAGENET1K_V1", NETWORK) == first
    assert capsys.readouterr().out == ""
    assert len(read_weights("torchvision", network=NETWORK).tensors) == 52


def test_it_is_downloaded_before_processes_start_unless_the_training_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[tuple[str, str]] = []
    monkeypatch.setattr(torchvision, "fetch", lambda weights, name: fetched.append((weights, name)))
    run = RunConfig(weights_dir=tmp_path)
    config = Config(run=run, model=ModelConfig(name=NETWORK, weights="torchvision:IMAGENET1K_V1"))
    fetch_weights(config)
    fetch_weights(replace(config, model=ModelConfig(name=NETWORK, weights="torchvision_weights.pth")))
    fetch_weights(replace(config, run=replace(run, resume="some.pt")))
    assert fetched == [("torchvision:IMAGENET1K_V1", NETWORK)]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/latest").write_text("x.pt")
    fetch_weights(config)
    assert len(fetched) == 1
    fetch_weights(replace(config, run=replace(run, resume="never")))
    assert len(fetched) == 2


def test_without_torchvision_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(WeightsError, match="torchvision needs the package torchvision: pip install torchvision, from"):
        torchvision.fetch("torchvision", NETWORK)


def test_a_torchvision_of_another_torch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    for name in ("torchvision", "torchvision.models"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WeightsError, match=r"fits torch 2.*\(operator torchvision::nms does not exist\): pip install"):
        torchvision.fetch("torchvision", NETWORK)


def test_what_torchvision_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, monkeypatch, NETWORK, "squeezenet1_1")
    with pytest.raises(WeightsError, match="torchvision has no weights of googlenet, but of alexnet_owt, vgg_a"):
        torchvision.fetch("torchvision", "googlenet")
    with pytest.raises(WeightsError, match="no weights V9 of squeezenet_v1_1, but IMAGENET1K_V1, DEFAULT"):
        torchvision.fetch("torchvision:V9", NETWORK)


@pytest.mark.parametrize("broken", ["gone", "another file"])
def test_a_download_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    publish(tmp_path, monkeypatch, NETWORK, "squeezenet1_1")
    [file] = tmp_path.glob("*.pth")
    if broken == "gone":
        file.unlink()
    else:
        file.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="cannot be downloaded: .*; check the network, or copy the file to") as error:
        torchvision.fetch("torchvision", NETWORK)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "home/hub/checkpoints").iterdir())


def test_a_published_network_predicts_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = publish(tmp_path, monkeypatch, NETWORK, "squeezenet1_1")
    opened = tandem.open("torchvision", model=NETWORK, device="cpu")
    assert opened.classes[:2] == ("kind 0", "kind 1")
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    theirs = MODELS[NETWORK].build(1000, 227).eval()
    theirs.load_state_dict(published)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    cropped = torch.from_numpy(pixels[14:241, 14:241]).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = theirs((cropped / 255 - mean) / std).softmax(1)[0]
    np.testing.assert_allclose(opened.predict(pixels).probabilities, expected, atol=1e-6)
    with pytest.raises(WeightsError, match="torchvision has no weights of alexnet,"):
        tandem.open("torchvision")
