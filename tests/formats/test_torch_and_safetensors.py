from pathlib import Path

import pytest
import torch
from torch import nn

from lib.errors import WeightsError
from lib.formats import safe_tensors, torch_file


def test_torchvisions_network_sees_colours_from_0_to_255(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3))
    torch.save(model.state_dict(), tmp_path / "alexnet.pth")
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    pixels = torch.randint(256, (2, 3, 8, 8)).float()
    expected = model((pixels / 255 - mean) / std)
    assert torch_file.recognises(tmp_path / "alexnet.pth")
    model.load_state_dict(torch_file.read(tmp_path / "alexnet.pth"))
    torch.testing.assert_close(model(pixels - 255 * mean), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([torch.zeros(1)], "neither a checkpoint of this program nor a dict of tensors"),
        ({"a": 1}, "neither a checkpoint"),
        ({"fc.weight": torch.zeros(2, 2)}, "no convolution of a colour image"),
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
    again = safe_tensors.read(path)
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], value) for name, value in tensors.items())
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        safe_tensors.read(path)
