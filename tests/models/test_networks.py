"""Tests of every network in the registry: its size and shapes, and that a training step lowers the loss."""

import pytest
import torch
from torch import Tensor, nn

from lib.errors import ConfigError
from lib.models import googlenet, squeezenet
from lib.models.layers import BatchNorm1d, BatchNorm2d, redraw_convolutions
from lib.models.losses import cross_entropy, main_logits, with_auxiliary
from lib.models.recipes import LENET
from lib.models.registry import MODELS, model_spec
from lib.models.resnet import Basic, Bottleneck, CaffeResNet, basic_d
from lib.models.resnet_cifar import CifarResNet, ZeroPadded
from lib.models.squeezenet import Fire
from lib.training.schedule import learning_rate

# Parameters in the systems the networks come from, with 1,000 classes.
PARAMETERS = {
    "alexnet": 60_965_224,
    "caffenet": 60_965_224,
    "bvlc_alexnet": 60_965_224,
    "alexnet_towers": 60_522_856,
    "alexnet_owt": 61_100_840,
    "alexnet_owt_bn": 61_119_528,
    "overfeat": 111_317_864,
    "vgg_a": 132_863_336,
    "googlenet": 19_124_528,
    "googlenet_bn": 19_147_888,
    "nin_bn": 8_655_336,
    "squeezenet": 1_248_424,
    "squeezenet_v1_0": 1_248_424,
    "squeezenet_v1_0_caffe": 1_248_424,
    "squeezenet_v1_1": 1_235_496,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet18_d": 11_708_744,
    "resnet34_d": 21_816_904,
    "resnet50_d": 25_576_264,
    "resnet20_cifar": 269_722 + 990 * 65,
    "resnet56_cifar": 853_018 + 990 * 65,
    "lenet": 431_080 + 2 * 500 + 990 * 501,  # of gray images and 10 digits; here images have three channels
    "caffe_resnet18": 248_693_864,
    "caffe_resnet32": 20_722_280,
    "caffe_resnet50": 25_557_096,
    "alexnet_bn": 2_729_512,
    "vgg_bn_v2": 9_734_504,
}


def on_meta(name: str, n_classes: int, crop: int) -> nn.Module:
    """Build the network on the meta device, which is fast and needs no memory."""
    spec = MODELS[name]
    with torch.device("meta"):
        model: nn.Module = spec.build(n_classes, crop)
    return model


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("name", MODELS)
def test_every_network_has_its_parameters_and_output_shape(name: str) -> None:
    spec = MODELS[name]
    model = on_meta(name, 1000, spec.crop)
    count = sum(p.numel() for p in model.parameters())
    assert count == spec.parameters
    assert count == PARAMETERS.get(name, count)
    assert model.eval()(torch.empty(2, 3, spec.crop, spec.crop, device="meta")).shape == (2, 1000)
    rows = spec.class_tensors(spec.crop)
    assert {len(model.state_dict()[row]) for row in rows} == {1000}
    assert [row.rpartition(".")[2] for row in rows] == ["weight", "bias"] * (len(rows) // 2)


def test_the_networks_of_all_original_systems_are_registered() -> None:
    assert PARAMETERS.keys() <= MODELS.keys()


@pytest.mark.parametrize("name", ["alexnet_towers", "alexnet_owt", "alexnet_bn", "overfeat", "vgg_a", "googlenet"])
def test_a_crop_below_the_minimum_fails(name: str) -> None:
    with pytest.raises(RuntimeError):
        on_meta(name, 10, MODELS[name].min_crop - 1)(torch.empty(2, 3, *[MODELS[name].min_crop - 1] * 2, device="meta"))


@pytest.mark.parametrize("name", MODELS)
def test_steps_of_training_lower_the_loss(name: str) -> None:
    """Dropout is off, so that only the update changes the loss; norms use batch statistics."""
    torch.manual_seed(0)
    spec, n = MODELS[name], 3
    model = spec.build(n, max(spec.min_crop, 33), "kaiming").train()
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    images, labels = 50 * torch.randn(4, 3, *[max(spec.min_crop, 33)] * 2), torch.tensor([0, 1, 2, 0])
    loss_of = spec.loss_function()
    loss = loss_of(model(images), labels)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    norm = sum(float(g.square().sum()) for g in gradients)
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter -= 0.02 * float(loss) / norm * gradient  # lowers the loss by 2 % to first order
        assert float(loss_of(model(images), labels)) < float(loss)
    assert model.eval()(images).shape == (4, n)


def test_an_auxiliary_head_is_trained_with_weight_03_and_not_evaluated() -> None:
    spec = MODELS["googlenet_bn"]
    assert spec.loss == MODELS["googlenet"].loss == "losses.with_auxiliary"
    model = spec.build(5, 47)
    images, labels = torch.randn(2, 3, 47, 47), torch.tensor([1, 2])
    main, auxiliary = model(images)
    expected = nn.functional.cross_entropy(main, labels, reduction="sum")
    expected = expected + 0.3 * nn.functional.cross_entropy(auxiliary, labels, reduction="sum")
    loss = spec.loss_function()((main, auxiliary), labels, 0.0)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in model.auxiliary[-1].parameters())
    assert main_logits((main, auxiliary)) is main
    assert isinstance(model.eval()(images), Tensor)


def test_label_smoothing_is_torchs_in_both_losses() -> None:
    logits, labels = torch.randn(3, 5), torch.tensor([0, 4, 2])
    smoothed = nn.functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=0.1)
    torch.testing.assert_close(cross_entropy(logits, labels, 0.1), smoothed)
    torch.testing.assert_close(with_auxiliary((logits, logits), labels, 0.1), 1.3 * smoothed)


def test_feature_maps_of_googlenet_have_the_original_sizes() -> None:
    with torch.device("meta"):
        model = googlenet.GoogLeNet(1000, 224)
        stem = model.stem(torch.empty(1, 3, 224, 224))
        assert stem.shape == (1, 576, 14, 14)
        assert model.trunk(stem).shape == (1, 1024, 7, 7)
    assert sum(p.numel() for p in model.auxiliary.parameters()) == 2_416_488


def test_caffes_squeezenet_averages_a_padded_border_too() -> None:
    torchvisions, caffes = MODELS["squeezenet_v1_0"].build(5, 64).eval(), MODELS["squeezenet_v1_0_caffe"].build(5, 64)
    caffes.eval().load_state_dict(torchvisions.state_dict())
    nn.init.constant_(caffes.classifier[1].bias, 2.0)
    nn.init.constant_(torchvisions.classifier[1].bias, 2.0)
    images = 50 * torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        _, _, side, _ = torchvisions.features(images).shape
        inner = torchvisions(images) * side**2
        torch.testing.assert_close(caffes(images), (inner + 2.0 * (4 * side + 4)) / (side + 2) ** 2)


def test_a_fire_with_bypass_adds_its_input() -> None:
    plain, bypass = Fire(8, 2, 4), Fire(8, 2, 4, bypass=True)
    bypass.load_state_dict(plain.state_dict())
    x = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(bypass(x), x + plain(x))
    fires = [m.bypass for m in squeezenet.with_bypass(10, 64).modules() if isinstance(m, Fire)]
    assert fires == [False, True, False, True, False, True, False, True]
    assert not any(m.bypass for m in squeezenet.v1_1(10, 64).modules() if isinstance(m, Fire))


def test_thresholds_and_norms_are_torch7s() -> None:
    model = MODELS["vgg_a"].build(10, 32)
    thresholds = [m for m in model.modules() if isinstance(m, nn.Threshold)]
    assert [(m.threshold, m.value) for m in thresholds] == [(0.0, 1e-6)] * 2
    norms = [m for m in MODELS["alexnet_owt_bn"].build(10, 63).modules() if isinstance(m, BatchNorm1d | BatchNorm2d)]
    assert [m.eps for m in norms] == [1e-3] * 7
    assert 0.4 < float(norms[-1].weight.detach().mean()) < 0.6  # gamma from U(0, 1)
    assert (norms[-1].bias == 0).all()


def test_two_towers_are_separate_up_to_the_classifier() -> None:
    model = MODELS["alexnet_towers"].build(10, 63).eval()
    images = torch.randn(1, 3, 63, 63, requires_grad=True)
    first = model.features[0](images)
    maps = model.features[1:](first)
    gradient = torch.autograd.grad(maps[:, :128].sum(), first)[0]
    assert (gradient[:, 48:] == 0).all()
    assert (gradient[:, :48] != 0).any()


def test_the_stride_of_a_bottleneck_is_on_the_3x3_or_in_caffe_on_the_first_1x1() -> None:
    with torch.device("meta"):
        ours, caffe = MODELS["resnet50"].build(10, 64), CaffeResNet(10, 64, counts=(3, 4, 6, 3))
    modules = dict(ours.named_modules()), dict(caffe.named_modules())
    strides = [
        [found[f"{block}.{conv}"].stride for conv in ("conv1", "conv2")]
        for found, block in zip(modules, ("layer2.0", "layers.1.0"), strict=True)
    ]
    assert strides == [[(1, 1), (2, 2)], [(2, 2), (1, 1)]]
    assert modules[0]["layer2.0.bn1"].eps == modules[1]["layers.1.0.bn1"].eps == 1e-5
    assert caffe.conv1.bias is not None
    assert ours.conv1.bias is None


@pytest.mark.parametrize("name", ["resnet18_d", "resnet50_d"])
def test_blocks_of_resnet_d_begin_as_their_shortcut(name: str) -> None:
    model = MODELS[name].build(10, 64)
    for block in (block for block in model.modules() if isinstance(block, Basic | Bottleneck)):
        x = torch.randn(2, block.conv1.in_channels, 9, 9)
        torch.testing.assert_close(block(x), block.relu(block.downsample(x)))
    assert not any((norm.weight == 0).any() for norm in MODELS["resnet18"].build(10, 64).modules() if is_norm(norm))


def is_norm(layer: nn.Module) -> bool:
    return isinstance(layer, BatchNorm2d)


def test_resnet_d_has_three_small_convolutions_first_and_pools_in_its_shortcuts() -> None:
    model = basic_d(10, 64, counts=(1, 1, 1, 1))
    shapes = [tuple(layer.weight.shape) for layer in model.conv1.children() if isinstance(layer, nn.Conv2d)]
    assert shapes == [(32, 3, 3, 3), (32, 32, 3, 3), (64, 32, 3, 3)]
    pool, projection, _ = model.get_submodule("layer2.0.downsample").children()
    assert pool(torch.arange(15.0).view(1, 1, 3, 5)).tolist() == [[[[3, 5, 6.5], [10.5, 12.5, 14]]]]
    assert projection.stride == (1, 1)
    names = on_meta("resnet50_d", 10, 64).state_dict()
    assert {"conv1.6.weight", "layer1.0.downsample.1.weight", "layer2.0.downsample.2.running_mean"} <= set(names)


def test_shortcuts_of_the_resnets_for_cifar_have_no_parameters() -> None:
    x = torch.randn(2, 3, 5, 5)
    got = ZeroPadded(3, 6, 2)(x)
    assert torch.equal(got[:, :3], x[:, :, ::2, ::2])
    assert (got[:, 3:] == 0).all()
    assert torch.equal(ZeroPadded(3, 3, 1)(x), x)
    sizes = [sum(p.numel() for p in CifarResNet(10, 32, counts=(n, n, n)).parameters()) for n in (3, 9)]
    assert sizes == [269_722, 853_018]  # 0.27 M and 0.85 M in table 6 of arXiv:1512.03385


@pytest.mark.parametrize(("name", "side"), [("lenet", 28), ("resnet20_cifar", 32), ("alexnet", 227)])
def test_the_crop_of_images_of_a_networks_own_size(name: str, side: int) -> None:
    spec = MODELS[name]
    assert spec.crop_of(spec.img_size) == spec.crop == side
    with pytest.raises(ConfigError, match=f"this network needs at least {spec.min_crop}"):
        spec.crop_of(3)


def test_lenet_is_caffes() -> None:
    torch.manual_seed(0)
    model, solver = MODELS["lenet"].build(10, 28), LENET.schedule
    weight = model.features[2].weight.detach()
    assert float(weight.abs().max()) == pytest.approx((3 / (20 * 25)) ** 0.5, rel=1e-3)
    assert all((p == 0).all() for name, p in model.named_parameters() if name.endswith("bias"))
    rates = [0.01 * (1 + 1e-4 * iteration) ** -0.75 for iteration in range(937 // 2, 10_000, 937)]
    ours = [learning_rate(0.01, solver, epoch=epoch, n_epochs=11, val_errors=[]) for epoch in range(11)]
    assert ours == pytest.approx(rates, rel=2e-3)


def test_caffes_resnets_round_up_and_are_truncated() -> None:
    """55.5 becomes 56 without padding. The last maps are 22 x 22 x 512 (18 layers) and 8 x 8 x 256 (32 layers)."""
    with torch.device("meta"):
        small, cut = MODELS["caffe_resnet18"].build(10, 224), MODELS["caffe_resnet32"].build(10, 224)
        assert small.maxpool(torch.empty(1, 64, 112, 112)).shape[2] == 56
    assert small.maxpool.padding == 0
    assert (small.fc.in_features, cut.fc.in_features) == (22 * 22 * 512, 8 * 8 * 256)


@pytest.mark.parametrize(("init", "gain"), [("kaiming", 2), ("xavier", 1)])
def test_other_initial_values_change_convolutions_only(init: str, gain: int) -> None:
    torch.manual_seed(0)
    plain = MODELS["alexnet_owt_bn"].build(10, 63)
    torch.manual_seed(0)
    other = MODELS["alexnet_owt_bn"].build(10, 63, init)
    convolutions = [f"features.{i}.weight" for i in (0, 4, 8, 11, 14)]
    for (name, a), b in zip(plain.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b) == (name not in convolutions), name
    weight = other.features[4].weight
    assert float(weight.detach().std()) == pytest.approx((gain / (25 * 192)) ** 0.5, rel=0.02)


def test_default_initial_values_draw_nothing() -> None:
    layer = nn.Conv2d(3, 4, 3)
    before = layer.weight.clone()
    redraw_convolutions(layer, "default")
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize(("norm", "shape"), [(BatchNorm1d(6), (1, 6)), (BatchNorm2d(6), (1, 6, 1, 1))])
def test_one_image_is_normalized_by_running_statistics(norm: nn.Module, shape: tuple[int, ...]) -> None:
    many = torch.randn(50, *shape[1:]) * 3
    norm(many)
    one = torch.randn(shape)
    assert torch.equal(norm.train()(one), norm.eval()(one))
    assert norm.num_batches_tracked == 1


def test_an_exported_norm_takes_any_number_of_images() -> None:
    norm, batch = BatchNorm1d(6).eval(), ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(norm, (torch.randn(2, 6),), dynamic_shapes=batch).module()
    images = torch.randn(1, 6)
    torch.testing.assert_close(exported(images), norm(images))


def test_parameters_are_named_as_in_torchvision() -> None:
    names = on_meta("resnet50", 10, 64).state_dict()
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.downsample.1.bias", "layer4.2.bn3.weight", "fc.bias"} <= set(
        names
    )
    assert {"features.10.weight", "classifier.6.bias"} <= set(on_meta("alexnet_owt", 10, 64).state_dict())
    assert {"features.28.weight", "classifier.6.bias"} <= set(on_meta("vgg_d", 10, 64).state_dict())
    assert {"features.12.expand3x3.bias", "classifier.1.bias"} <= set(on_meta("squeezenet_v1_1", 10, 64).state_dict())


def test_an_unknown_network_without_similar_names_is_refused() -> None:
    with pytest.raises(ConfigError, match="model.name is transformer; known networks: alexnet, caffenet,"):
        model_spec("transformer")


@pytest.mark.parametrize("name", [name for name in MODELS if "resnet" not in name or name == "resnet18_d"])
def test_the_modern_recipe_has_a_smaller_rate_without_norms(name: str) -> None:
    spec = MODELS[name]
    with torch.device("meta"):
        modules = spec.build(10, spec.crop).modules()
    has_norms = any(isinstance(module, nn.BatchNorm2d) for module in modules)
    assert (spec.modern.optimizer.learning_rate > 5e-3) == has_norms
    assert (spec.modern.optimizer.clip_norm > 0) != has_norms
