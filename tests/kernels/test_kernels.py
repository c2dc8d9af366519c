"""Each kernel computes what its plain twin does. Without a GPU, Triton interprets them: see tests/conftest.py."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lib.config.schema import AugmentConfig, OptimizerConfig
from lib.data.augment.mixing import OWN_WEIGHT, mixed_labels
from lib.data.augment.params import draw_params
from lib.data.augment.transform import crop_and_normalize
from lib.evaluation.metrics import Meter, label_ranks
from lib.kernels import loss, mean, pooling, rectifier
from lib.kernels.columns import column_sums
from lib.kernels.crop import crop_to_blocks, to_blocks
from lib.kernels.response_norm import NormConstants, response_norm, response_norm_gradient
from lib.models.layers import ResponseNorm
from lib.models.losses import cross_entropy
from lib.training.flat import FlatParameters
from lib.training.fused_optimizer import FusedSGD
from lib.training.optimizer import MomentumSGD

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# The interpreter computes with NumPy, which warns of NaN and overflow.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(autouse=True)
def default_device() -> Iterator[None]:
    torch.manual_seed(0)
    with DEVICE:
        yield


def nan(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return a tensor of NaN, which shows what a kernel did not write."""
    return torch.full(shape, float("nan"), dtype=dtype)


@pytest.mark.parametrize(("height", "width", "channels"), [(7, 9, 32), (8, 6, 40)])
def test_pooling_and_its_gradient(height: int, width: int, channels: int) -> None:
    """Sides are odd and even: rows and columns that no window covers get no gradient."""
    x, bias = torch.randn(2, height, width, channels), torch.randn(channels)
    x.requires_grad_()
    bias.requires_grad_()
    expected = functional.max_pool2d(functional.relu((x + bias).permute(0, 3, 1, 2)), 3, 2)
    # The output is a slice of a wider tensor, as two groups share one, or has channels first.
    wide = nan(2, *expected.shape[2:], 2 * channels)
    for out in (wide[..., channels:], nan(*expected.shape).permute(0, 2, 3, 1)):
        argmax = torch.empty(out.shape, dtype=torch.uint8)
        pooling.pool(x.detach(), bias.detach(), out, argmax)
        torch.testing.assert_close(out.permute(0, 3, 1, 2), expected)
    g = torch.randn_like(expected)
    dx, dbias = torch.autograd.grad(expected, (x, bias), g)
    found, found_bias = nan(*x.shape), nan(channels)
    pooling.pool_gradient(g.permute(0, 2, 3, 1), argmax, found, found_bias)
    torch.testing.assert_close(found, dx)
    torch.testing.assert_close(found_bias, dbias)


def test_pooling_propagates_nan() -> None:
    x = torch.randn(1, 5, 5, 32)
    x[0, 2, 2, 7] = float("nan")
    out, argmax = nan(1, 2, 2, 32), torch.empty(1, 2, 2, 32, dtype=torch.uint8)
    pooling.pool(x, torch.zeros(32), out, argmax)
    assert out[..., 7].isnan().all()
    assert not out[..., :7].isnan().any()


@pytest.mark.parametrize(("channels", "groups"), [(96, 2), (40, 1), (200, 2)])
@pytest.mark.parametrize("n", [5, 4])
def test_response_norm_and_its_gradient(channels: int, groups: int, n: int) -> None:
    norm = ResponseNorm(n=n, alpha=0.05)
    constants = NormConstants(norm.n, norm.alpha, norm.beta, norm.k)
    x = torch.randn(70, channels, requires_grad=True)
    expected = norm(x[:, :, None, None])[:, :, 0, 0]
    out = nan(groups, 70, channels // groups)
    response_norm(x.detach(), constants, out)
    torch.testing.assert_close(torch.cat(out.unbind(), 1), expected, rtol=1e-5, atol=1e-6)
    g = torch.randn_like(expected)
    (dx,) = torch.autograd.grad(expected, x, g)
    found = nan(*x.shape)
    gs = tuple(chunk.contiguous() for chunk in g.chunk(groups, 1))
    response_norm_gradient(gs, x.detach(), constants, found)
    torch.testing.assert_close(found, dx, rtol=1e-5, atol=1e-6)


def test_response_norm_refuses_a_window_that_is_too_wide() -> None:
    with pytest.raises(ValueError, match="a window of 11 channels is too wide for this kernel: at most 9"):
        response_norm(torch.ones(4, 64), NormConstants(11, 1e-4, 0.75, 2.0), torch.empty(1, 4, 64))


def test_bias_relu_and_its_gradient_on_slices_of_wider_tensors() -> None:
    wide, bias = torch.randn(70, 300), torch.randn(150)
    x = wide[:, 150:].clone().requires_grad_()
    bias.requires_grad_()
    expected = functional.relu(x + bias)
    out = nan(70, 150)
    rectifier.bias_relu(wide[:, 150:], bias.detach(), out)
    torch.testing.assert_close(out, expected)
    g = torch.randn_like(expected)
    dx, dbias = torch.autograd.grad(2 * expected, (x, bias), g)
    wide_dx, found_bias = nan(70, 300), nan(150)
    rectifier.relu_gradient(g, out, wide_dx[:, :150], found_bias, scale=2.0)
    torch.testing.assert_close(wide_dx[:, :150], dx)
    torch.testing.assert_close(found_bias, dbias)
    assert wide_dx[:, 150:].isnan().all()


def test_column_sums_are_torchs() -> None:
    x, out = torch.randn(300, 37), nan(37)
    column_sums(x, out)
    torch.testing.assert_close(out, x.sum(0))


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decayed", ["weights", "all"])
@pytest.mark.parametrize("halves", [False, True])
def test_fused_sgd_updates_as_the_plain_optimizer(nesterov: bool, decayed: str, halves: bool) -> None:
    config = OptimizerConfig(nesterov=nesterov, decayed=decayed)  # type: ignore[arg-type]
    flats = []
    for _ in range(2):
        torch.manual_seed(1)
        flats.append(FlatParameters(nn.Sequential(nn.Linear(50, 30), nn.Linear(30, 7)), torch.zeros))
    plain, copy = MomentumSGD(flats[0], config), flats[1].parameters.clone()
    fused = FusedSGD(flats[1], copy, config)
    for step, segment in enumerate([slice(0, 1000), slice(1000, len(copy)), slice(0, len(copy))]):
        rate, decay = 0.1 / (step + 1), 5e-2
        plain.set(rate, decay)
        fused.set(rate, decay)
        for flat in flats:
            flat.gradients.copy_(torch.randn(flat.gradients.shape, generator=torch.Generator(DEVICE).manual_seed(step)))
        plain.step(segment)
        if halves:
            fused.update_momentum(segment)
            fused.apply(segment)
        else:
            fused.step(segment)
        torch.testing.assert_close(flats[1].state, flats[0].state, rtol=1e-5, atol=1e-6)
    assert torch.equal(copy, flats[1].parameters)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_mean_may_overwrite_one_of_its_inputs(count: int) -> None:
    replicas = [torch.randn(2000) for _ in range(count)]
    expected = torch.stack(replicas).double().mean(0).float()
    mean.mean(replicas, replicas[count - 1])
    torch.testing.assert_close(replicas[count - 1], expected)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_scaled_sum_is_taken_in_float32(count: int) -> None:
    parts = [torch.randn(41, 50, device=DEVICE).bfloat16() for _ in range(count)]
    out = torch.empty_like(parts[0])
    mean.scaled_sum(parts, 3.0, out)
    torch.testing.assert_close(out.float(), torch.stack(parts).float().sum(0) * 3, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(("side", "rows", "pad"), [(4, 6, 0), (1, 21, 0), (2, 14, 3), (4, 5, 2)])
def test_crops_in_the_block_layout(side: int, rows: int, pad: int) -> None:
    """Blocks beyond the crop are zeros; images beyond the batch are not written."""
    crop = 21
    images = torch.randint(0, 256, (3, 30, 32, 3), dtype=torch.uint8)[:, :, :30].contiguous()
    mean_HWC = 255 * torch.rand(30, 30, 3)
    params = draw_params(3, img_size=30, crop=crop, augment=AugmentConfig(), seed=1, epoch=0)
    drawn = torch.from_numpy(params).to(DEVICE)
    assert drawn[:, 2].unique().numel() == 2  # some are flipped
    std_C = torch.tensor([1.0, 2.0, 4.0], device=DEVICE)
    out = nan(4, rows, rows, 3 * side**2)

    def plain(params_BV: torch.Tensor) -> torch.Tensor:
        normalized = crop_and_normalize(images, mean_HWC, params_BV, crop) / std_C[:, None, None]
        return to_blocks(normalized, side, rows, pad)

    crop_to_blocks(images, mean_HWC, std_C, drawn, crop, out, side=side, pad=pad)
    assert torch.equal(out[:3], plain(drawn))
    assert out[3].isnan().all()
    center = drawn[1:2].expand(3, -1)  # evaluation expands one row for all images
    crop_to_blocks(images, mean_HWC, std_C, center, crop, out, side=side, pad=pad)
    assert torch.equal(out[:3], plain(center))
    tops = (int(top) for top in params[:, 0])
    cut = torch.stack(
        [image[top : top + crop] for image, top in zip(images, tops, strict=True)]
    )  # the rows of each crop
    crop_to_blocks(cut, mean_HWC, std_C, drawn, crop, out, side=side, pad=pad)
    assert torch.equal(out[:3], plain(drawn))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("count", [6, 7])
def test_cross_entropy_of_mixed_labels_and_its_gradient(count: int, weighted: bool) -> None:
    """The rows after the ``count``-th hold no image, so the last image of an odd number has no partner."""
    logits, labels, weights = torch.randn(8, 11), torch.randint(0, 11, (8,)), torch.rand(8)
    weights[0], labels[7], logits[7] = 0.5, 999, float("nan")
    rows = torch.zeros(count, 6)
    rows[:, OWN_WEIGHT] = weights[:count]
    real, mixed = logits[:count].clone().requires_grad_(), mixed_labels(labels[:count], rows)
    class_weights = 3 * torch.rand(11) if weighted else None
    loss_sum = cross_entropy(real, mixed, 0.1, class_weights)
    (expected,) = torch.autograd.grad(0.25 * loss_sum, real)
    g, scale = nan(8, 11), torch.tensor(0.25)
    losses, ranks = loss.cross_entropy(logits, labels, torch.tensor(count), scale, 0.1, g, weights, class_weights)
    torch.testing.assert_close(g[:count], expected, rtol=1e-5, atol=1e-6)
    assert (g[count:] == 0).all()
    assert losses.sum().item() == pytest.approx(loss_sum.item(), rel=1e-5)
    assert torch.equal(ranks[:count].long(), label_ranks(real, mixed.first_B))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_its_gradient_and_the_metrics(smoothing: float, weighted: bool) -> None:
    """The last two of eight rows hold no image but arbitrary values."""
    logits, labels = torch.randn(8, 11), torch.randint(0, 11, (8,))
    logits[1] = 0.0  # ties
    logits[7], labels[6] = float("nan"), 999
    count, loss_scale = torch.tensor(6), torch.tensor(0.25)
    real = logits[:6].clone().requires_grad_()
    class_weights = 3 * torch.rand(11) if weighted else None
    loss_sum = cross_entropy(real, labels[:6], smoothing, class_weights)
    (expected,) = torch.autograd.grad(0.25 * loss_sum, real)
    g = nan(8, 11)
    losses, ranks = loss.cross_entropy(logits, labels, count, loss_scale, smoothing, g, None, class_weights)
    torch.testing.assert_close(g[:6], expected, rtol=1e-5, atol=1e-6)
    assert (g[6:] == 0).all()
    plain, fused = Meter(DEVICE), Meter(DEVICE)
    for iteration in range(2):
        plain.add(real.detach(), labels[:6], loss_sum, iteration)
        loss.accumulate(losses, ranks, count, torch.tensor(iteration), *fused.accumulators())
    (sums, bad), (fused_sums, fused_bad) = plain.take(), fused.take()
    np.testing.assert_allclose(fused_sums, sums, rtol=1e-6)
    assert fused_bad == bad == float("inf")


def test_the_first_iteration_with_a_nan_or_infinite_loss_is_recorded() -> None:
    meter = Meter(DEVICE)
    for iteration, value in enumerate([1.0, float("nan"), float("inf"), 1.0]):
        losses, ranks = torch.full((4,), value), torch.zeros(4, dtype=torch.int32)
        loss.accumulate(losses, ranks, torch.tensor(4), torch.tensor(iteration), *meter.accumulators())
    assert meter.take()[1] == 1
