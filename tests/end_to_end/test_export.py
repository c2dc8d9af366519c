"""Weights that export.py writes load again with the same bits."""

import json
import os
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
from lib.evaluation.exported import PictureNetwork
from lib.formats import onnx_file, safe_tensors
from lib.formats.registry import load_weights
from lib.models.registry import model_spec
from tests.support.data_sets import write_data_set
from tests.support.predictors import predictor
from tests.support.scripts import Script

STD = (2.0, 4.0, 8.0)
"""divisors of the images; powers of two, so that rescaled weights keep their bits"""
MEAN = torch.tensor([120.0, 110.0, 100.0]).view(3, 1, 1)


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
                mean=MEAN.expand(3, img_size, img_size).clone(),
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


@pytest.mark.parametrize("std", [None, STD])
def test_onnx_computes_the_same(tmp_path: Path, run_script: Script, std: tuple[float, float, float] | None) -> None:
    """The file takes pictures, so the mean image, the division and the crop are inside."""
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = checkpoint(tmp_path, "tiny", 32, std)
    done = run_script("export.py", "tiny.onnx")
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.glob("*tiny*")] == ["tiny.onnx"]
    session = runtime.InferenceSession(tmp_path / "tiny.onnx", providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    [probabilities] = session.run(["probabilities"], {"images": images})
    inputs = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - MEAN) / torch.tensor(std or (1.0,)).view(-1, 1, 1)
    expected = model(inputs[:, :, 2:30, 2:30]).softmax(1).detach().numpy()
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-6)
    about = session.get_modelmeta().custom_metadata_map
    assert (about["network"], json.loads(about["classes"])) == ("tiny", [f"class {i}" for i in range(4)])
    assert (about["img_size"], about["resize"]) == ("32", "squash")


@pytest.mark.parametrize("name", ["tiny.onnx", "tiny.safetensors"])
def test_exports_are_classified_without_any_other_file(tmp_path: Path, run_here: Script, name: str) -> None:
    if name.endswith("onnx"):
        pytest.importorskip("onnxscript")
    checkpoint(tmp_path, "tiny", 32, STD)
    pixels = np.random.default_rng(1).integers(0, 256, (57, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    expected = run_here("classify.py", "x.png", "--json", "--top", 4)
    before = os.umask(0o027)
    try:
        assert run_here("export.py", name).returncode == 0
    finally:
        os.umask(before)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o640
    (tmp_path / "alone").mkdir()
    for file in (name, "x.png"):
        (tmp_path / file).rename(tmp_path / "alone" / file)
    done = run_here("classify.py", "x.png", "--checkpoint", name, "--json", "--top", 4, cwd=tmp_path / "alone")
    assert done.returncode == 0, done.stderr
    ours, theirs = (json.loads(text)["best"] for text in (done.stdout, expected.stdout))
    assert [one["folder"] for one in ours] == [one["folder"] for one in theirs]
    assert [one["score"] for one in ours] == pytest.approx([one["score"] for one in theirs], rel=1e-4)
    if name.endswith("onnx"):
        refused = run_here("classify.py", "x.png", "--checkpoint", name, "--crops", 10, cwd=tmp_path / "alone")
        assert "an ONNX file computes its center crop only" in refused.stderr
        refused = run_here("export.py", "y.safetensors", "--checkpoint", name, cwd=tmp_path / "alone")
        assert "is ONNX, which cannot be converted" in refused.stderr


def test_damaged_or_incomplete_exports_are_errors_of_one_line(tmp_path: Path, run_here: Script) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    weights = {"a": torch.zeros(2)}
    safe_tensors.write(weights, {"network": "tiny"}, tmp_path / "older.safetensors")
    mean = {safe_tensors.MEAN: torch.full((3, 8, 8), torch.nan)}
    said = {"network": "tiny", "img_size": "8", "resize": "crop", "mean": "image", "std": "null"}
    names = {"folders": "[]", "classes": "[]"}
    safe_tensors.write(weights | mean, said, tmp_path / "nameless.safetensors")
    safe_tensors.write(weights | mean, said | names, tmp_path / "nan.safetensors")
    safe_tensors.write(weights | mean, said | names | {"resize": "x"}, tmp_path / "rule.safetensors")
    for name, says in (
        ("bad.onnx", "cannot be read as ONNX"),
        ("older.safetensors", "lacks its mean image; export it again"),
        ("nameless.safetensors", "does not say how pictures are prepared (KeyError: 'folders')"),
        ("rule.safetensors", "does not say how pictures are prepared (ValidationError"),
        ("nan.safetensors", "the mean image in nan.safetensors is damaged"),
    ):
        done = run_here("classify.py", "x.png", "--checkpoint", name)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert says in done.stderr


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
    """The exporter and the runtime are replaced by ones whose probabilities are slightly off."""
    network = PictureNetwork(predictor()).eval()

    def session(_: Path, providers: list[str]) -> SimpleNamespace:
        def run(_: list[str], inputs: dict[str, Any]) -> list[Any]:
            return [network(torch.from_numpy(inputs["images"])).detach().numpy() * (1 + off)]

        return SimpleNamespace(run=run)

    program = SimpleNamespace(model=SimpleNamespace(metadata_props={}), save=lambda path: path.write_bytes(b"onnx"))
    packages = SimpleNamespace(import_module=lambda _: SimpleNamespace(InferenceSession=session))
    monkeypatch.setattr(onnx_file, "importlib", packages)
    monkeypatch.setattr(onnx_file, "_exported", lambda *_: program)
    off = 1e-2
    with pytest.raises(WeightsError, match="onnxruntime's probabilities differ from torch's"):
        onnx_file.write(network, 32, {}, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
    off = 0.0
    onnx_file.write(network, 32, {}, tmp_path / "x.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]


def test_safetensors_of_another_network_is_refused(tmp_path: Path, run_here: Script) -> None:
    write_data_set(tmp_path / "data")
    safe_tensors.write({"conv1.weight": torch.zeros(2)}, {"network": "other"}, tmp_path / "other.safetensors")
    (tmp_path / "x.png").write_bytes(b"")
    done = run_here("classify.py", "x.png", "--checkpoint", "other.safetensors", "--data", "data", "--model", "tiny")
    assert done.returncode == 2
    assert "other.safetensors is of the network other, not tiny" in done.stderr
