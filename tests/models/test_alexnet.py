"""Tests of the network alexnet."""

import numpy as np
import pytest
import torch
from torch import nn

from lib.errors import ConfigError
from lib.models.alexnet import AlexNet
from lib.models.layers import ResponseNorm
from lib.models.registry import MODELS, model_spec


def test_alexnet_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in AlexNet(1000, 227).parameters()) == 60_965_224


def test_layers_and_initial_values_are_theano_alexnets() -> None:
    """Each row is the shape of the weight, its standard deviation, and the bias."""
    torch.manual_seed(0)
    model = AlexNet(10, 227)
    expected = [
        ((96, 3, 11, 11), 0.01, 0.0),
        ((256, 48, 5, 5), 0.01, 0.1),
        ((384, 256, 3, 3), 0.01, 0.0),
        ((384, 192, 3, 3), 0.01, 0.1),
        ((256, 192, 3, 3), 0.01, 0.0),
        ((4096, 9216), 0.005, 0.1),
        ((4096, 4096), 0.005, 0.1),
        ((10, 4096), 0.01, 0.0),
    ]
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for layer, (shape, std, bias) in zip(layers, expected, strict=True):
        assert tuple(layer.weight.shape) == shape
        assert float(layer.weight.detach().std()) == pytest.approx(std, rel=0.05)
        assert layer.bias is not None
        assert (layer.bias == bias).all()
    kinds = [type(m).__name__ for m in model.features]
    assert kinds[:4] == ["Conv2d", "ReLU", "MaxPool2d", "ResponseNorm"]  # the norm comes after the pooling
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5]


@pytest.mark.parametrize(("name", "bias", "norm_first"), [("caffenet", 1.0, False), ("bvlc_alexnet", 0.1, True)])
def test_caffes_networks_compute_what_their_prototxts_say(name: str, bias: float, norm_first: bool) -> None:
    """LocalResponseNorm of torch divides alpha by the window, as Caffe's LRN does."""
    torch.manual_seed(0)
    model = MODELS[name].build(3, 67).eval()
    convolutions = [layer for layer in model.features if isinstance(layer, nn.Conv2d)]
    linears = [layer for layer in model.classifier if isinstance(layer, nn.Linear)]
    biases = [float(value.detach()[0]) for key, value in model.named_parameters() if key.endswith("bias")]
    assert biases == pytest.approx([0, bias, 0, bias, bias, bias, bias, 0])
    layers: list[nn.Module] = []
    for number, convolution in enumerate(convolutions, 1):
        layers += [convolution, nn.ReLU()]
        if number in (1, 2, 5):
            pool, norm = nn.MaxPool2d(3, 2), nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
            norms = [norm] if number < 5 else []
            layers += [*norms, pool] if norm_first else [pool, *norms]
    images = 100 * torch.randn(2, 3, 67, 67)
    with torch.no_grad():
        x = nn.Sequential(*layers)(images).flatten(1)
        expected = linears[2](linears[1](linears[0](x).relu()).relu())
        torch.testing.assert_close(model(images), expected)


def test_feature_maps_have_the_published_sizes() -> None:
    model = AlexNet(10, 227).eval()
    x = torch.zeros(2, 3, 227, 227)
    sides = {}
    for i, layer in enumerate(model.features):
        x = layer(x)
        sides[i] = (x.shape[1], x.shape[2])
    assert (sides[3], sides[7], sides[14]) == ((96, 27), (256, 13), (256, 6))
    assert model.classifier(x).shape == (2, 10)


def test_response_norm_computes_its_formula() -> None:
    x = np.random.default_rng(0).standard_normal((2, 9, 3, 4)) * 100
    expected = np.empty_like(x)
    for c in range(9):
        window = x[:, max(0, c - 2) : c + 3]
        expected[:, c] = x[:, c] / (2 + 1e-4 * (window**2).sum(1)) ** 0.75
    got = ResponseNorm()(torch.from_numpy(x).float())
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5)


def test_response_norm_is_torchs_with_five_times_the_alpha() -> None:
    x = torch.randn(2, 7, 5, 5) * 50
    theirs = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)
    torch.testing.assert_close(ResponseNorm()(x), theirs(x))


@pytest.mark.parametrize(("img_size", "crop"), [(256, 227), (128, 114), (96, 85), (76, 67)])
def test_the_crop_is_proportional_to_the_images(img_size: int, crop: int) -> None:
    assert model_spec("alexnet").crop_of(img_size) == crop
    assert AlexNet(3, crop)(torch.zeros(1, 3, crop, crop)).shape == (1, 3)


def test_images_that_are_too_small_are_refused() -> None:
    with pytest.raises(ConfigError, match="this network needs at least 67; use data.img_size 76 or more"):
        model_spec("alexnet").crop_of(64)


def test_an_unknown_network_is_refused_with_the_known_names() -> None:
    with pytest.raises(ConfigError, match=f"did you mean alexnet.*known networks: {', '.join(MODELS)}"):
        model_spec("alexnett")
