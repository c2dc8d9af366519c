"""Tests of the formats of torch and safetensors."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lib.errors import WeightsError
from lib.formats import safe_tensors, torch_file
from lib.formats.registry import read_weights
from lib.formats.scaled_weights import ScaledWeights

IMAGENET_STD = (58.4, 57.12, 57.38)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("std", [None, IMAGENET_STD])
def test_torchvisions_weights_are_rescaled_from_inputs_of_0_to_1(
    tmp_path: Path, suffix: str, std: tuple[float, float, float] | None
) -> None:
    """Whatever the inputs are divided by (normalize.std), the network computes what it does in torchvision."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3))
    path = tmp_path / f"alexnet.{suffix}"
    save: Callable[..., object] = torch.save if suffix == "pth" else save_file
    save(model.state_dict(), path)
    mean, std_0_1 = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    pixels = torch.randint(256, (2, 3, 8, 8)).float()
    expected = model((pixels / 255 - mean) / std_0_1)
    model.load_state_dict(read_weights(path).rescaled(std, path))
    inputs = (pixels - 255 * mean) / torch.tensor(std or (1.0, 1.0, 1.0)).view(3, 1, 1)
    torch.testing.assert_close(model(inputs), expected, rtol=1e-4, atol=1e-4)


def test_weights_of_this_program_keep_their_scale(tmp_path: Path) -> None:
    tensors = {"conv.weight": torch.randn(4, 3, 2, 2)}
    for metadata, std in (({"network": "x"}, None), ({"network": "x", "std": "[58.4, 57.12, 57.38]"}, IMAGENET_STD)):
        safe_tensors.write(tensors, metadata, tmp_path / "w.safetensors")
        weights = safe_tensors.read(tmp_path / "w.safetensors")
        assert weights.std == std
        assert torch.equal(weights.rescaled(std, "w")["conv.weight"], tensors["conv.weight"])


def test_only_a_network_of_color_images_can_be_rescaled() -> None:
    with pytest.raises(WeightsError, match="w has no convolution of a color image"):
        ScaledWeights({"fc.weight": torch.zeros(2, 2)}, IMAGENET_STD).rescaled(None, "w")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "neither a checkpoint of this program nor a dict of tensors; save only the model"),
        ({"a": 1}, "neither a checkpoint"),
    ],
)
def test_other_files_of_torch_are_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=message):
        torch_file.read(tmp_path / "x.pt")


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "evil.pt").write_bytes(b"\x80\x02cos\nmkdir\nX\x04\x00\x00\x00evil\x85R.")
    with pytest.raises(WeightsError, match="is damaged or contains more than tensors"):
        torch_file.read(tmp_path / "evil.pt")
    assert not Path("evil").exists()


def test_safetensors_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    tensors = {"a.weight": torch.randn(4, 3).T, "b": torch.tensor([1, 2])}
    safe_tensors.write(tensors, {"network": "tiny"}, path)
    assert safe_tensors.recognizes(path)
    again = safe_tensors.read(path).tensors
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], value) for name, value in tensors.items())
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        safe_tensors.read(path)


@pytest.mark.parametrize(
    ("made_for", "inputs_of"),
    [
        ("torchvision", lambda rgb: rgb / 255 / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)),
        ("0..1", lambda rgb: rgb / 255),
        ("0..255", lambda rgb: rgb),
        ("caffe", lambda rgb: rgb.flip(1)),
        ("order=bgr std=2,4,8", lambda rgb: rgb.flip(1) / torch.tensor([2.0, 4.0, 8.0]).view(3, 1, 1)),
    ],
)
def test_weights_compute_what_they_did_on_the_images_that_they_were_made_for(
    tmp_path: Path, made_for: str, inputs_of: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    path = tmp_path / "w.pth"
    torch.save(model.state_dict(), path)
    pixels = torch.randint(-128, 128, (2, 3, 8, 8)).float()  # less the mean
    expected = model(inputs_of(pixels))
    model.load_state_dict(read_weights(path, made_for).rescaled(IMAGENET_STD, path))
    torch.testing.assert_close(model(pixels / torch.tensor(IMAGENET_STD).view(3, 1, 1)), expected, rtol=1e-3, atol=1e-3)


def test_a_file_that_tells_its_inputs_is_not_taken_for_another(tmp_path: Path) -> None:
    safe_tensors.write({"conv.weight": torch.zeros(4, 3, 2, 2)}, {"network": "x"}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="w.safetensors tells what images it was made for; leave made_for out"):
        read_weights(tmp_path / "w.safetensors", "caffe")
