"""Variants of the networks: width, activation, BlurPool."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lib.checkpoints.checkpoint import Preparation, check_identity, load
from lib.checkpoints.folder import CheckpointFolder
from lib.commands.export_writers import write_safetensors
from lib.commands.validate import settings_of_file
from lib.errors import CheckpointError, ConfigError
from lib.evaluation.exported import open_safetensors
from lib.evaluation.predictor import predictor_of_checkpoint
from lib.kernels.blur import activated_blur
from lib.models.blurpool import NAMES, BlurPool, blurred
from lib.models.registry import MODELS
from lib.models.resnet import Basic
from lib.types import Variant
from tests.support.checkpoints import IDENTITY, checkpoint

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
RESNETS = ("resnet18", "resnet18_d", "resnet50_d")


def built(name: str, **changes: object) -> nn.Module:
    model: nn.Module = MODELS[name].build(10, 64, variant=Variant(**changes))  # type: ignore[arg-type]
    return model


def test_width_multiplies_all_channels() -> None:
    with torch.device("meta"):
        model = built("resnet18_d", width=1.5)
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions[:3]] == [48, 48, 96]
    assert {layer.out_channels for layer in convolutions} == {48, 96, 192, 384, 768}
    narrow = built("resnet20_cifar", width=0.6)
    assert {layer.out_channels for layer in narrow.modules() if isinstance(layer, nn.Conv2d)} == {8, 16, 32}


@pytest.mark.parametrize("name", MODELS)
def test_every_activation_is_replaced(name: str) -> None:
    spec = MODELS[name]
    with torch.device("meta"):
        model = spec.build(10, spec.crop, variant=Variant(activation="mish"))
    layers = list(model.modules())
    assert any(isinstance(layer, nn.Mish) for layer in layers)
    assert not any(isinstance(layer, nn.ReLU | nn.Threshold) for layer in layers)
    assert model.state_dict().keys() == spec_names(name)


def spec_names(name: str) -> object:
    with torch.device("meta"):
        return MODELS[name].build(10, MODELS[name].crop).state_dict().keys()


@pytest.mark.parametrize("name", RESNETS)
def test_with_blurpool_no_map_loses_pixels_unblurred(name: str) -> None:
    model = built(name, blurpool=True).eval()
    strided = [
        path
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d) and layer.stride not in ((1, 1), 1)
    ]
    shortcuts = {f"layer{i}.0.downsample.0" for i in (2, 3, 4)} if name == "resnet18" else set()
    assert set(strided) - shortcuts == {"conv1" if name == "resnet18" else "conv1.0"}
    assert sum(isinstance(layer, BlurPool) for layer in model.modules()) == 4
    plain = built(name)
    assert plain.state_dict().keys() == model.state_dict().keys()
    for side in (64, 57):
        images = torch.randn(2, 3, side, side)
        network = MODELS[name].build(10, side, variant=Variant(blurpool=True)).eval()
        assert network(images).shape == (2, 10)


def test_a_blurred_map_equals_plain_numpy() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 6)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    expected = np.zeros((2, 3, 4, 3))
    for i, j in np.ndindex(4, 3):
        expected[..., i, j] = (padded[..., 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] * kernel).sum((2, 3))
    np.testing.assert_allclose(blurred(torch.from_numpy(x)).numpy(), expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("layer", [layer() for layer in NAMES], ids=NAMES.values())
@pytest.mark.parametrize(("height", "width"), [(6, 8), (7, 5), (2, 3), (3, 2)])
def test_the_kernel_is_activation_and_blur(layer: nn.Module, height: int, width: int) -> None:
    torch.manual_seed(0)
    x = (3 * torch.randn(2, 5, height, width, device=DEVICE)).requires_grad_()
    expected = blurred(layer(x))
    found = activated_blur(x, NAMES[type(layer)])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)
    g = torch.randn_like(expected)
    (expected_g,), (found_g,) = (torch.autograd.grad(y, x, g) for y in (expected, found))
    torch.testing.assert_close(found_g, expected_g, rtol=1e-4, atol=1e-5)


def test_a_block_with_blurpool_is_its_layers() -> None:
    torch.manual_seed(0)
    block, x = Basic(4, 8, 2, blurpool=True).eval(), torch.randn(2, 4, 9, 9)
    weight = block.state_dict()["conv1.weight"]
    halved = blurred(functional.relu(block.bn1(functional.conv2d(x, weight, padding=1))))
    expected = functional.relu(block.bn2(block.conv2(halved)) + block.downsample(x))
    torch.testing.assert_close(block(x), expected)


def test_what_a_network_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="model.width is 2.0, which only ResNets take"):
        built("alexnet", width=2.0)
    with pytest.raises(ConfigError, match="model.crop is 20, .* take 32 to 64"):
        MODELS["resnet18"].crop_of(64, Variant(crop=20))
    with pytest.raises(ConfigError, match="model.blurpool is True"):
        built("resnet20_cifar", blurpool=True)


def test_a_checkpoint_and_its_export_keep_the_variant(tmp_path: Path) -> None:
    variant = Variant(width=0.5, activation="mish", blurpool=True, crop=60)
    model = MODELS["resnet18_d"].build(4, 60, variant=variant).eval()
    saved = replace(
        checkpoint(epoch=1),
        identity=replace(IDENTITY, model="resnet18_d", n_classes=4, img_size=64, variant=variant),
        preparation=Preparation(resize="crop", mean=torch.zeros(3, 64, 64), classes=(("n", "a"),) * 4),
        parameters=model.state_dict(),
        momentum={},
    )
    loaded = load(CheckpointFolder(tmp_path, keep=1).save(saved, is_best=False))
    predictor = predictor_of_checkpoint(loaded)
    write_safetensors(predictor, tmp_path / "network.safetensors")
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    assert predictor.crop == 60
    expected = predictor.probabilities(images, 1)
    assert torch.equal(open_safetensors(tmp_path / "network.safetensors").probabilities(images, 1), expected)
    for path in (tmp_path / "network.safetensors", tmp_path / loaded.name):
        settings = settings_of_file(path)
        said = [settings[f"model.{name}"] for name in ("name", "width", "activation", "blurpool", "crop")]
        assert said == ["resnet18_d", "0.5", "mish", "true", "60"]
    here = replace(loaded.identity, variant=Variant())
    with pytest.raises(CheckpointError, match="another network: width 0.5, mish, blurpool, here it is as published"):
        check_identity(tmp_path, loaded.identity, here)


@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if spec.any_size])
def test_networks_of_any_size_have_one_output_for_each(name: str) -> None:
    spec = MODELS[name]
    with torch.device("meta"):
        model = spec.build(10, spec.crop).eval()
        for size in (spec.min_crop, 45, 64):
            assert model(torch.empty(2, 3, size, size)).shape == (2, 10)
    spec.check_sizes((spec.min_crop, 64), 64)
    spec.check_sizes((64,), 72)
    with pytest.raises(ConfigError, match="augment.sizes ends with 128, .* set model.crop to 128"):
        spec.check_sizes((spec.min_crop, 128), 64)


@pytest.mark.parametrize("sizes", [(100, 227), (200,)])
def test_others_take_one_size(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="only ResNets take it"):
        MODELS["alexnet"].check_sizes(sizes, 227)
