"""Kernels of optimizers compute what their plain twins do. Without a GPU, Triton interprets them: tests/conftest.py."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from lib.config.schema import OptimizerConfig
from lib.roles.optimizer_builder import fused_optimizer, plain_optimizer, slots
from lib.training.flat import FlatParameters

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

CASES: dict[str, dict[str, Any]] = {
    "adamw": {"name": "adamw"},
    "adamw, decay of all": {"name": "adamw", "decayed": "all"},
    "radam with lookahead": {"name": "radam", "lookahead": 2, "betas": (0.95, 0.99)},
    "lamb": {"name": "lamb", "eps": 1e-6},
    "lamb, decay of all": {"name": "lamb", "decayed": "all"},
    "sgd with lookahead": {"lookahead": 3, "nesterov": True},
}


@pytest.fixture(autouse=True)
def default_device() -> Iterator[None]:
    with DEVICE:
        yield


def flat_network(config: OptimizerConfig) -> FlatParameters:
    """Return the parameters of tensors that take several blocks and a part of one."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(50, 30), nn.Linear(30, 70), nn.Linear(70, 7))
    return FlatParameters(network, torch.zeros, slots=slots(config))


@pytest.mark.parametrize("gathered", [0, 3])
@pytest.mark.parametrize("name", CASES)
def test_fused_optimizers_update_as_the_plain_ones(name: str, gathered: int) -> None:
    """Also from the mean of gradients in bfloat16, and with a segment for the last layer alone."""
    config = OptimizerConfig(**CASES[name])
    flats = [flat_network(config) for _ in range(2)]
    plain, copy = plain_optimizer(flats[0], config), flats[1].parameters.clone()
    fused = fused_optimizer(flats[1], copy, config)
    last = flats[0].parts(flats[0].whole)[0]
    segments = [last, slice(last.stop, len(copy))]
    for step in range(6):
        generator = torch.Generator(DEVICE).manual_seed(step)
        drawn = torch.randn(max(1, gathered), len(copy), generator=generator).bfloat16()
        for flat, optimizer in ((flats[0], plain), (flats[1], fused)):
            flat.updates += 1
            optimizer.set(0.1 / (step + 1), 5e-2)
            flat.gradients.copy_(drawn[0])
            for segment in segments:
                optimizer.step(segment, list(drawn[:, segment]) if gathered else ())
        torch.testing.assert_close(flats[1].state, flats[0].state, rtol=1e-4, atol=1e-6)
        assert torch.equal(copy, flats[1].parameters)
