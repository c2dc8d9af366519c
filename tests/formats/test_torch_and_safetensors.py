from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lib.errors import WeightsError
from lib.formats import safe_tensors, torch_file
from lib.formats.known import read_weights
from lib.formats.scale import Weights

IMAGENET_STD = (58.4, 57.12, 57.38)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("std", [None, IMAGENET_STD])
def test_torchvisions_network_sees_colours_from_0_to_1_over_a_deviation(
    tmp_path: Path, suffix: str, std: tuple[float, float, float] | None
) -> None:
    """Whatever ours are divided by (normalize.std), it computes the same of a picture."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3))
    path = tmp_path / f"alexnet.{suffix}"
    save: Callable[..., object] = torch.save if suffix == "pth" else save_file
    save(model.state_dict(), path)
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    pixels = torch.randint(256, (2, 3, 8, 8)).float()
    expected = model((pixels / 255 - mean) / deviation)
    model.load_state_dict(read_weights(path).for_pictures_over(std, path))
    seen = (pixels - 255 * mean) / torch.tensor(std or (1.0, 1.0, 1.0)).view(3, 1, 1)
    torch.testing.assert_close(model(seen), expected, rtol=1e-4, atol=1e-4)


def test_weights_of_our_own_are_for_what_they_were_trained_on(tmp_path: Path) -> None:
    tensors = {"conv.weight": torch.randn(4, 3, 2, 2)}
    for about, std in (({"network": "x"}, None), ({"network": "x", "std": "[58.4, 57.12, 57.38]"}, IMAGENET_STD)):
        safe_tensors.write(tensors, about, tmp_path / "w.safetensors")
        weights = safe_tensors.read(tmp_path / "w.safetensors")
        assert weights.std == std
        assert torch.equal(weights.for_pictures_over(std, "w")["conv.weight"], tensors["conv.weight"])


def test_only_a_network_of_colour_images_can_be_brought_to_another_scale() -> None:
    with pytest.raises(WeightsError, match="w holds no convolution of a colour image"):
        Weights({"fc.weight": torch.zeros(2, 2)}, IMAGENET_STD).for_pictures_over(None, "w")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([torch.zeros(1)], "neither a checkpoint of this program nor a dict of tensors; save the state_dict"),
        ({"a": 1}, "neither a checkpoint"),
    ],
)
def test_other_files_of_torch(tmp_path: Path, content: object, says: str) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=says):
        torch_file.read(tmp_path / "x.pt")


def test_code_in_a_pickle_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "evil.pt").write_bytes(b"\x80\x02cos\nmkdir\nX\x04\x00\x00\x00evil\x85R.")
    with pytest.raises(WeightsError, match="is damaged or holds no plain tensors"):
        torch_file.read(tmp_path / "evil.pt")
    assert not Path("evil").exists()


def test_safetensors_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    tensors = {"a.weight": torch.randn(4, 3).T, "b": torch.tensor([1, 2])}
    safe_tensors.write(tensors, {"network": "tiny"}, path)
    assert safe_tensors.recognises(path)
    again = safe_tensors.read(path).tensors
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], value) for name, value in tensors.items())
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        safe_tensors.read(path)
