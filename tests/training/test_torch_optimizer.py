"""Optimizers of ``torch.optim`` update the flat parameters as they update any network's."""

from typing import Any

import pytest
import torch
from torch import nn

from lib.config.schema import OptimizerConfig
from lib.errors import ConfigError
from lib.roles.optimizer_builder import plain_optimizer, slots
from lib.training.flat import FlatParameters
from lib.training.torch_optimizer import TorchOptimizer

STEPS = 100
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "Adagrad": ("eps=1e-6", {"eps": 1e-6}),
    "NAdam": ("betas=(0.8,0.99) decoupled_weight_decay=True", {"betas": (0.8, 0.99), "decoupled_weight_decay": True}),
    "RMSprop": ("momentum=0.9 centered=True", {"momentum": 0.9, "centered": True}),
    "SGD": ("momentum=0.9 nesterov=True", {"momentum": 0.9, "nesterov": True}),
}


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 3))


def gradients(model: nn.Module, step: int) -> None:
    inputs = torch.randn(4, 7, generator=torch.Generator().manual_seed(step))
    model(inputs).square().sum().backward()


@pytest.mark.parametrize("name", CASES)
def test_it_is_torchs_on_two_groups_of_parameters(name: str) -> None:
    text, options = CASES[name]
    ours, theirs = network(), network()
    config = OptimizerConfig(name=name, options=text, bias_rate_factor=2.0)
    flat = FlatParameters(ours, torch.zeros, slots=slots(config))
    optimizer = plain_optimizer(flat, config)
    weights, biases = ([p for p in theirs.parameters() if p.ndim == ndim] for ndim in (2, 1))
    groups = [{"params": weights, "weight_decay": 0.1}, {"params": biases}]
    peer = getattr(torch.optim, name)(groups, lr=0.01, **options)
    for step in range(STEPS):
        flat.gradients.zero_()
        peer.zero_grad()
        gradients(ours, step)
        gradients(theirs, step)
        rate = 0.01 / (1 + step / 20)
        optimizer.set(rate, 0.1)
        optimizer.step(flat.whole)
        for group, factor in zip(peer.param_groups, (1, 2), strict=True):
            group["lr"] = rate * factor
        peer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_a_copy_in_another_dtype_follows() -> None:
    flat = FlatParameters(network(), torch.zeros)
    copy = flat.parameters.bfloat16()
    optimizer = TorchOptimizer(flat, OptimizerConfig(name="Adam"), copy)
    flat.gradients.fill_(1.0)
    optimizer.set(0.5, 0.0)
    optimizer.step(flat.whole)
    assert torch.equal(copy, flat.parameters.bfloat16())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"name": "Adagard"},
            "optimizer.name is Adagard, which is no class of torch.optim .* ASGD, Adadelta, Adafactor",
        ),
        ({"name": "LBFGS"}, "optimizer.name is LBFGS, which is no class of torch.optim that can be used here"),
        ({"name": "Rprop"}, "torch.optim.Rprop cannot be made .* weight_decay 0.0005: .*weight_decay"),
        ({"name": "Adam", "options": "betas=(2,3)"}, "torch.optim.Adam cannot be made with .*Invalid beta"),
        (
            {"name": "adam"},
            "optimizer.name is adam; it must be one of sgd, adamw, radam, lamb, or a class of torch.opt",
        ),
        ({"name": "Adam", "options": "eps=x"}, "optimizer.options has eps=x; list options as NAME=VALUE"),
        ({"name": "Adam", "options": "lr=0.1"}, "optimizer.options has lr=0.1; set optimizer.learning_rate instead"),
        ({"options": "eps=1e-6"}, "optimizer.options is 'eps=1e-6', but optimizer.name sgd has keys of its own"),
    ],
)
def test_what_torch_cannot_make_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        TorchOptimizer(FlatParameters(network(), torch.zeros), OptimizerConfig(**settings))
