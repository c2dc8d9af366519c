"""The update rule equals a NumPy transcription and torch.optim.SGD."""

import numpy as np
import pytest
import torch
from torch import nn

from lib.config.schema import OptimizerConfig
from lib.errors import ConfigError
from lib.training.fine_tuning import freeze
from lib.training.flat import FlatParameters
from lib.training.optimizer import MomentumSGD


def update(optimizer: MomentumSGD, rate: float, weight_decay: float) -> None:
    """Update all parameters, in two segments."""
    optimizer.set(rate, weight_decay)
    length = len(optimizer._flat.parameters)
    for segment in (slice(0, length // 3), slice(length // 3, length)):
        optimizer.step(segment)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 3))


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_many_steps_equal_the_numpy_transcription(nesterov: bool, momentum: float) -> None:
    if nesterov and momentum == 0:
        nesterov = False
    config = OptimizerConfig(momentum=momentum, nesterov=nesterov, weight_decay=0.01, bias_rate_factor=2.0)
    model = network()
    flat = FlatParameters(model, torch.zeros)
    optimizer = MomentumSGD(flat, config)
    w = {name: p.detach().double().numpy().copy() for name, p in model.named_parameters()}
    v = {name: np.zeros_like(value) for name, value in w.items()}
    rng = np.random.default_rng(0)
    for step in range(50):
        rate = 0.1 if step < 30 else 0.01
        flat.gradients.zero_()
        for name, p in model.named_parameters():
            g = rng.standard_normal(p.shape)
            assert p.grad is not None
            p.grad.copy_(torch.from_numpy(g))
            is_bias = name.endswith("bias")
            g = g if is_bias else g + 0.01 * w[name]
            r = rate * (2 if is_bias else 1)
            v[name] = momentum * v[name] - r * g
            w[name] += momentum * v[name] - r * g if nesterov else v[name]
        update(optimizer, rate, config.weight_decay)
    for name, p in model.named_parameters():
        np.testing.assert_allclose(p.detach().numpy(), w[name], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(flat.momentum_of[name].numpy(), v[name], rtol=1e-5, atol=1e-6)


def test_a_constant_rate_equals_torch_sgd() -> None:
    """Our momentum includes the learning rate, which makes no difference while the rate is constant."""
    ours, theirs = network(), network()
    flat = FlatParameters(ours, torch.zeros)
    optimizer = MomentumSGD(flat, OptimizerConfig(bias_rate_factor=1.0, nesterov=True))
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    for step in range(20):
        x = torch.randn(4, 7, generator=torch.Generator().manual_seed(step))
        flat.gradients.zero_()
        sgd.zero_grad()
        ours(x).square().sum().backward()
        theirs(x).square().sum().backward()
        update(optimizer, 0.05, 0.0)
        sgd.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_averaging_weights_and_momentum_equals_averaging_gradients() -> None:
    """Two equal replicas, updated on their own gradients and averaged, equal one update on the mean gradient."""
    config = OptimizerConfig()
    flats = [FlatParameters(network(), torch.zeros) for _ in range(3)]
    optimizers = [MomentumSGD(flat, config) for flat in flats]
    for step in range(10):
        rng = torch.Generator().manual_seed(step)
        gradients = [torch.randn(flats[0].gradients.shape, generator=rng) for _ in range(2)]
        for flat, gradient in zip(flats, [*gradients, (gradients[0] + gradients[1]) / 2], strict=True):
            flat.gradients.copy_(gradient)
        for optimizer in optimizers:
            update(optimizer, 0.01, config.weight_decay)
        mean = (flats[0].state + flats[1].state) / 2
        flats[0].state.copy_(mean)
        flats[1].state.copy_(mean)
    torch.testing.assert_close(flats[0].state, flats[2].state, rtol=1e-4, atol=1e-6)


def test_decay_of_all_parameters_equals_torch_sgd() -> None:
    ours, theirs = network(), network()
    flat = FlatParameters(ours, torch.zeros)
    optimizer = MomentumSGD(flat, OptimizerConfig(decayed="all", bias_rate_factor=1.0))
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1)
    for step in range(20):
        x = torch.randn(4, 7, generator=torch.Generator().manual_seed(step))
        flat.gradients.zero_()
        sgd.zero_grad()
        ours(x).square().sum().backward()
        theirs(x).square().sum().backward()
        update(optimizer, 0.05, 0.1)
        sgd.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_frozen_parameters_keep_their_bits() -> None:
    model = nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.Linear(5, 3), nn.BatchNorm1d(3))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    norms = freeze(model, ["0", "1", "2.bias"])
    flat = FlatParameters(model, torch.zeros)
    for norm in norms:
        norm.eval()
    model(torch.randn(4, 7)).square().sum().backward()
    update(MomentumSGD(flat, OptimizerConfig(decayed="all")), 0.1, 0.1)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed - {"3.running_mean", "3.running_var", "3.num_batches_tracked"} == {"2.weight", "3.weight", "3.bias"}


def test_freezing_unknown_or_all_parameters_is_refused() -> None:
    with pytest.raises(ConfigError, match="model.freeze: fc is no part of this network; its parts are 0, 1, 2"):
        freeze(network(), ["0", "fc"])
    with pytest.raises(ConfigError, match="model.freeze names every parameter"):
        freeze(network(), ["0", "2."])
