"""``model.ema`` averages parameters and running statistics over time, and trades places with them to be validated."""

import copy

import torch
from torch import nn

from lib.config.schema import ExchangeConfig, OptimizerConfig
from lib.exchange.alone import Alone
from lib.roles.optimizer_builder import plain_optimizer, slots
from lib.roles.sync_builder import build_sync
from lib.training.flat import FlatParameters
from lib.training.replica_state import WholeState
from lib.training.weight_average import AveragedOverTime
from tests.support.replicas import CPU

DECAY = 0.5


def trained_names(model: nn.Module) -> list[str]:
    return [name for name, value in model.state_dict().items() if value.is_floating_point()]


def test_weights_and_running_statistics_are_averaged() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    config = OptimizerConfig()
    flat = FlatParameters(model, torch.zeros, slots=slots(config, DECAY))
    optimizer = plain_optimizer(flat, config)
    sync = AveragedOverTime(build_sync(ExchangeConfig(), optimizer, flat, Alone(CPU), 1), optimizer, flat, DECAY)
    expected = {name: model.state_dict()[name].double() for name in trained_names(model)}
    for number in range(1, 20):
        flat.gradients.zero_()
        model(torch.randn(8, 7)).square().sum().backward()
        sync.begin(0.05, 0.0)
        sync.update(flat.whole)
        share = 1 - min(DECAY, number / (9 + number))
        for name, value in expected.items():
            value += share * (model.state_dict()[name].double() - value)
    own = copy.deepcopy(model.state_dict())
    with sync.synchronized():
        for name, value in expected.items():
            torch.testing.assert_close(model.state_dict()[name].double(), value, rtol=1e-5, atol=1e-6)
        saved = WholeState(model, flat).collect(writes=True)
        assert saved is not None
        assert "average" not in saved.slots
        assert saved.slots["trained"].keys() == expected.keys()
        assert all(torch.equal(value, own[name]) for name, value in saved.slots["trained"].items())
    assert all(torch.equal(value, own[name]) for name, value in model.state_dict().items())
    assert not torch.equal(own["1.running_mean"].double(), expected["1.running_mean"])
