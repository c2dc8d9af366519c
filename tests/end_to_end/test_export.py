"""Weights that export.py writes load again with the same bits."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lib.checkpoints.checkpoint import Checkpoint, Identity, Preparation
from lib.checkpoints.folder import CheckpointFolder
from lib.errors import WeightsError
from lib.formats import onnx_file, safe_tensors
from lib.formats.registry import load_weights
from lib.models.registry import model_spec
from tests.support.data_sets import write_data_set
from tests.support.scripts import Script

STD = (2.0, 4.0, 8.0)
"""divisors of the images; powers of two, so that rescaled weights keep their bits"""


def checkpoint(
    folder: Path, name: str, img_size: int, std: tuple[float, float, float] | None = None
) -> torch.nn.Module:
    """Write a run folder "models" with one checkpoint, and return its network."""
    spec = model_spec(name)
    torch.manual_seed(1)
    model: torch.nn.Module = spec.build(4, spec.crop_of(img_size)).eval()
    CheckpointFolder(folder / "models/checkpoints", keep=1).save(
        Checkpoint(
            identity=Identity(model=name, n_classes=4, img_size=img_size, data_fingerprint="abc"),
            preparation=Preparation(
                resize="squash",
                mean=torch.zeros(3, img_size, img_size),
                classes=tuple((f"n{i}", f"class {i}") for i in range(4)),
                std=std,
            ),
            seed=1,
            total_batch_size=16,
            epoch=12,
            iteration=0,
            val_record=torch.zeros(12, 2, dtype=torch.float64),
            parameters=model.state_dict(),
            momentum={},
        ),
        is_best=True,
    )
    return model


def same_bits(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


def test_exported_safetensors_load_with_the_same_bits(tmp_path: Path, run_here: Script) -> None:
    model = checkpoint(tmp_path, "tiny", 32, STD)
    done = run_here("export.py", "out/tiny.safetensors")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "out/tiny.safetensors: tiny, safetensors\n"
    again = model_spec("tiny").build(4, 28)
    load_weights(again, tmp_path / "out/tiny.safetensors", STD)
    assert same_bits(again, model)
    header = (tmp_path / "out/tiny.safetensors").read_bytes()[8:600].decode(errors="ignore")
    assert '"network":"tiny"' in header


def test_onnx_computes_the_same(tmp_path: Path, run_script: Script) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = checkpoint(tmp_path, "tiny", 32)
    done = run_script("export.py", "tiny.onnx")
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.glob("*tiny*")] == ["tiny.onnx"]
    session = runtime.InferenceSession(tmp_path / "tiny.onnx", providers=["CPUExecutionProvider"])
    images = torch.rand(5, 3, 28, 28) * 255 - 128
    logits = session.run(["logits"], {"images": images.numpy()})[0]
    np.testing.assert_allclose(logits, model(images).detach().numpy(), rtol=1e-4, atol=1e-4)
    about = session.get_modelmeta().custom_metadata_map
    assert (about["network"], json.loads(about["classes"])) == ("tiny", [f"class {i}" for i in range(4)])


@pytest.mark.parametrize("form", ["theano", "cudaconvnet"])
def test_exported_theano_folders_load_with_the_same_bits(tmp_path: Path, run_here: Script, form: str) -> None:
    """AlexNet at its smallest crop. classify.py reads the folder like the published one."""
    std = STD if form == "cudaconvnet" else None
    model = checkpoint(tmp_path, "alexnet", 76, std)
    done = run_here("export.py", "weights", "--format", form)
    assert done.returncode == 0, done.stderr
    assert {"W_0_12.npy", "W1_4_12.npy", "b_7_12.npy"} <= {path.name for path in (tmp_path / "weights").iterdir()}
    again = model_spec("alexnet").build(4, model_spec("alexnet").crop_of(76))
    load_weights(again, f"{form}:{tmp_path / 'weights'}", std)
    assert same_bits(again, model)
    if form == "theano":
        write_data_set(tmp_path / "data", img_size=76)
        Image.fromarray(np.full((90, 80, 3), 128, np.uint8)).save(tmp_path / "grey.png")
        classified = run_here("classify.py", "grey.png", "--checkpoint", "weights", "--data", "data")
        assert classified.returncode == 0, classified.stderr
        assert len(classified.stdout.splitlines()) == 4


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path, run_here: Script) -> None:
    checkpoint(tmp_path, "tiny", 32)
    for arguments, says in (
        (("tiny.weights",), "tiny.weights has no suffix that names a format; add --format, one of safetensors, onnx"),
        (("w", "--format", "theano"), "theano_alexnet's files are for the network alexnet only"),
        (("/proc/x/y.safetensors",), "cannot write /proc/x/y.safetensors"),
    ):
        done = run_here("export.py", *arguments)
        assert done.returncode == 2, done.stdout
        assert says in done.stderr
        assert done.stderr.count("\n") == 1


def test_onnx_that_computes_something_else_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter and the runtime are replaced by ones whose logits are slightly off."""
    model = model_spec("tiny").build(4, 28).eval()

    def session(_: Path, providers: list[str]) -> SimpleNamespace:
        def run(_: list[str], inputs: dict[str, Any]) -> list[Any]:
            return [model(torch.from_numpy(inputs["images"])).detach().numpy() + off]

        return SimpleNamespace(run=run)

    program = SimpleNamespace(model=SimpleNamespace(metadata_props={}), save=lambda path: path.write_bytes(b"onnx"))
    packages = SimpleNamespace(import_module=lambda _: SimpleNamespace(InferenceSession=session))
    monkeypatch.setattr(onnx_file, "importlib", packages)
    monkeypatch.setattr(onnx_file, "_exported", lambda *_: program)
    off = 1e-2
    with pytest.raises(WeightsError, match="onnxruntime's logits differ from torch's"):
        onnx_file.write(model, 28, {}, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
    off = 0.0
    onnx_file.write(model, 28, {}, tmp_path / "x.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]


def test_safetensors_of_another_network_is_refused(tmp_path: Path, run_here: Script) -> None:
    write_data_set(tmp_path / "data")
    safe_tensors.write({"conv1.weight": torch.zeros(2)}, {"network": "other"}, tmp_path / "other.safetensors")
    (tmp_path / "x.png").write_bytes(b"")
    done = run_here("classify.py", "x.png", "--checkpoint", "other.safetensors", "--data", "data", "--model", "tiny")
    assert done.returncode == 2
    assert (
        "other.safetensors is of another network: features.0.weight (16, 3, 5, 5) is missing in the file" in done.stderr
    )
