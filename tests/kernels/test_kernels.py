"""Each kernel against its plain twin. Without a GPU, Triton's interpreter runs them: see tests/conftest.py."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lib.config.schema import AugmentConfig, OptimizerConfig
from lib.data.augment.params import crop_and_normalize, draw_params
from lib.evaluation.metrics import Meter
from lib.kernels import crop as crop_kernels
from lib.kernels import loss, mean, pooling, rectifier, response_norm
from lib.kernels.columns import column_sums
from lib.models.layers import ResponseNorm
from lib.models.losses import cross_entropy
from lib.training.flat import Flat
from lib.training.fused_optimizer import FusedSGD
from lib.training.optimizer import MomentumSGD

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# NumPy, which computes for the interpreter, warns of what a GPU does without a word.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(autouse=True)
def default_device() -> Iterator[None]:
    torch.manual_seed(0)
    with DEVICE:
        yield


def nan(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Room that shows what was not written."""
    return torch.full(shape, float("nan"), dtype=dtype)


@pytest.mark.parametrize(("height", "width", "channels"), [(7, 9, 32), (8, 6, 40)])
def test_pooling(height: int, width: int, channels: int) -> None:
    """Odd and even sides: where the last rows are in no window, they get no gradient."""
    x, bias = torch.randn(2, height, width, channels), torch.randn(channels)
    x.requires_grad_()
    bias.requires_grad_()
    expected = functional.max_pool2d(functional.relu((x + bias).permute(0, 3, 1, 2)), 3, 2)
    # Both into a part of a wider tensor, as two groups share one, and channels first.
    room = nan(2, *expected.shape[2:], 2 * channels)
    for out in (room[..., channels:], nan(*expected.shape).permute(0, 2, 3, 1)):
        place = torch.empty(out.shape, dtype=torch.uint8)
        pooling.pool(x.detach(), bias.detach(), out, place)
        torch.testing.assert_close(out.permute(0, 3, 1, 2), expected)
    g = torch.randn_like(expected)
    dx, dbias = torch.autograd.grad(expected, (x, bias), g)
    found, found_bias = nan(*x.shape), nan(channels)
    pooling.pool_gradient(g.permute(0, 2, 3, 1), place, found, found_bias)
    torch.testing.assert_close(found, dx)
    torch.testing.assert_close(found_bias, dbias)


def test_pooling_lets_nan_through() -> None:
    x = torch.randn(1, 5, 5, 32)
    x[0, 2, 2, 7] = float("nan")
    out, place = nan(1, 2, 2, 32), torch.empty(1, 2, 2, 32, dtype=torch.uint8)
    pooling.pool(x, torch.zeros(32), out, place)
    assert out[..., 7].isnan().all()
    assert not out[..., :7].isnan().any()


@pytest.mark.parametrize(("channels", "groups"), [(96, 2), (40, 1), (200, 2)])
@pytest.mark.parametrize("n", [5, 4])
def test_response_norm(channels: int, groups: int, n: int) -> None:
    norm = ResponseNorm(n=n, alpha=0.05)
    x = torch.randn(70, channels, requires_grad=True)
    expected = norm(x[:, :, None, None])[:, :, 0, 0]
    out = nan(groups, 70, channels // groups)
    response_norm.response_norm(x.detach(), norm, out)
    torch.testing.assert_close(torch.cat(out.unbind(), 1), expected, rtol=1e-5, atol=1e-6)
    g = torch.randn_like(expected)
    (dx,) = torch.autograd.grad(expected, x, g)
    found = nan(*x.shape)
    parts = tuple(part.contiguous() for part in g.chunk(groups, 1))
    response_norm.response_norm_gradient(parts, x.detach(), norm, found)
    torch.testing.assert_close(found, dx, rtol=1e-5, atol=1e-6)


def test_response_norm_refuses_a_window_it_cannot_see() -> None:
    with pytest.raises(ValueError, match="a window of 11 channels is wider"):
        response_norm.response_norm(torch.ones(4, 64), ResponseNorm(n=11), torch.empty(1, 4, 64))


def test_bias_and_relu() -> None:
    wide, bias = torch.randn(70, 300), torch.randn(150)
    x = wide[:, 150:].clone().requires_grad_()
    bias.requires_grad_()
    expected = functional.relu(x + bias)
    out = nan(70, 150)
    rectifier.bias_relu(wide[:, 150:], bias.detach(), out)
    torch.testing.assert_close(out, expected)
    g = torch.randn_like(expected)
    dx, dbias = torch.autograd.grad(2 * expected, (x, bias), g)
    room, found_bias = nan(70, 300), nan(150)
    rectifier.relu_gradient(g, out, room[:, :150], found_bias, scale=2.0)
    torch.testing.assert_close(room[:, :150], dx)
    torch.testing.assert_close(found_bias, dbias)
    assert room[:, 150:].isnan().all()


def test_column_sums() -> None:
    x, out = torch.randn(300, 37), nan(37)
    column_sums(x, out)
    torch.testing.assert_close(out, x.sum(0))


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decayed", ["weights", "all"])
@pytest.mark.parametrize("halves", [False, True])
def test_update(nesterov: bool, decayed: str, halves: bool) -> None:
    config = OptimizerConfig(nesterov=nesterov, decayed=decayed)  # type: ignore[arg-type]
    flats = []
    for _ in range(2):
        torch.manual_seed(1)
        flats.append(Flat(nn.Sequential(nn.Linear(50, 30), nn.Linear(30, 7)), torch.zeros))
    plain, copy = MomentumSGD(flats[0], config), flats[1].parameters.clone()
    fused = FusedSGD(flats[1], copy, config)
    for step, part in enumerate([slice(0, 1000), slice(1000, len(copy)), slice(0, len(copy))]):
        rate, decay = 0.1 / (step + 1), 5e-2
        plain.rate, plain.weight_decay = rate, decay
        fused.set(rate, decay)
        for flat in flats:
            flat.gradients.copy_(torch.randn(flat.gradients.shape, generator=torch.Generator(DEVICE).manual_seed(step)))
        plain.step(part)
        if halves:
            fused.update_momentum(part)
            fused.apply(part)
        else:
            fused.step(part)
        torch.testing.assert_close(flats[1].state, flats[0].state, rtol=1e-5, atol=1e-6)
    assert torch.equal(copy, flats[1].parameters)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_mean(count: int) -> None:
    replicas = [torch.randn(2000) for _ in range(count)]
    expected = torch.stack(replicas).double().mean(0).float()
    mean.mean(replicas, replicas[count - 1])
    torch.testing.assert_close(replicas[count - 1], expected)


@pytest.mark.parametrize(("side", "rows"), [(4, 6), (1, 21)])
def test_views_as_blocks(side: int, rows: int) -> None:
    """Squares beyond the crop are zeros; images beyond the batch stay."""
    crop = 21
    images = torch.randint(0, 256, (3, 30, 32, 3), dtype=torch.uint8)[:, :, :30].contiguous()
    mean_HWC = 255 * torch.rand(30, 30, 3)
    drawn = torch.from_numpy(draw_params(3, img_size=30, crop=crop, augment=AugmentConfig(), seed=1, epoch=0)).to(
        DEVICE
    )
    assert drawn[:, 2].unique().numel() == 2  # mirrored and not
    out = nan(4, rows, rows, 3 * side**2)
    crop_kernels.cut_to_blocks(images, mean_HWC, drawn, crop, out)
    assert torch.equal(out[:3], crop_kernels.to_blocks(crop_and_normalize(images, mean_HWC, drawn, crop), side, rows))
    assert out[3].isnan().all()
    center = drawn[1:2].expand(3, -1)  # as evaluation gives one view to all
    crop_kernels.cut_to_blocks(images, mean_HWC, center, crop, out)
    assert torch.equal(out[:3], crop_kernels.to_blocks(crop_and_normalize(images, mean_HWC, center, crop), side, rows))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_and_figures(smoothing: float) -> None:
    """Of eight places, the last two hold no image, but whatever was there before."""
    logits, labels = torch.randn(8, 11), torch.randint(0, 11, (8,))
    logits[1] = 0.0  # ties
    logits[7], labels[6] = float("nan"), 999
    count, loss_scale = torch.tensor(6), torch.tensor(0.25)
    real = logits[:6].clone().requires_grad_()
    loss_sum = cross_entropy(real, labels[:6], smoothing)
    (expected,) = torch.autograd.grad(0.25 * loss_sum, real)
    g = nan(8, 11)
    losses, label_ranks = loss.cross_entropy(logits, labels, count, loss_scale, smoothing, g)
    torch.testing.assert_close(g[:6], expected, rtol=1e-5, atol=1e-6)
    assert (g[6:] == 0).all()
    plain, fused = Meter(DEVICE), Meter(DEVICE)
    for iteration in range(2):
        plain.add(real.detach(), labels[:6], loss_sum, iteration)
        loss.accumulate(losses, label_ranks, count, torch.tensor(iteration), *fused.accumulators())
    (sums, bad), (fused_sums, fused_bad) = plain.take(), fused.take()
    np.testing.assert_allclose(fused_sums, sums, rtol=1e-6)
    assert fused_bad == bad == float("inf")


def test_the_first_loss_that_is_no_number_is_remembered() -> None:
    meter = Meter(DEVICE)
    for iteration, value in enumerate([1.0, float("nan"), float("inf"), 1.0]):
        losses, label_ranks = torch.full((4,), value), torch.zeros(4, dtype=torch.int32)
        loss.accumulate(losses, label_ranks, torch.tensor(4), torch.tensor(iteration), *meter.accumulators())
    assert meter.take()[1] == 1
