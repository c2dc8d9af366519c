"""Replicas hold the same bits after each update, and, up to rounding, the same weights for each kind of averaging."""

import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lib.config.schema import OptimizerConfig
from lib.exchange.alone import Alone
from lib.exchange.base import Exchange
from lib.training.average_gradients import AverageGradients
from lib.training.flat import FlatParameters
from lib.training.optimizer import MomentumSGD
from lib.training.sync import AverageWeights
from tests.support.replicas import CPU, open_peer

STEPS, WORKERS = 6, 3


class AverageBoth:
    """What ``exchange.what weights`` promises, to the letter: both are averaged after the update."""

    def __init__(self, optimizer: MomentumSGD, flat: FlatParameters, exchange: Exchange) -> None:
        self._optimizer, self._flat, self._exchange = optimizer, flat, exchange

    def update(self, segment: slice) -> None:
        self._optimizer.step(segment)
        self._exchange.all_reduce_mean(self._flat.parameters[segment], self._flat.momentum[segment])


STRATEGIES: dict[str, Any] = {"weights": AverageWeights, "gradients": AverageGradients, "both": AverageBoth}


def gradients(step: int, rank: int, like: torch.Tensor) -> torch.Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(10 * step + rank))


def trained(model: nn.Module, what: str, nesterov: bool, exchange: Exchange, ranks: list[int]) -> torch.Tensor:
    """Return weights and momentum after updates on the mean gradient over ``ranks`` and ``exchange``."""
    flat = FlatParameters(copy.deepcopy(model), exchange.allocate, exchange.allocate)
    optimizer = MomentumSGD(flat, OptimizerConfig(nesterov=nesterov))
    optimizer.set(0.05, 0.01)
    averaging = STRATEGIES[what](optimizer, flat, exchange)
    for step in range(STEPS):
        flat.gradients.copy_(torch.stack([gradients(step, rank, flat.gradients) for rank in ranks]).mean(0))
        early = slice(0, 600)
        averaging.update(early)
        averaging.update(slice(early.stop, len(flat.parameters)))
        exchange.verify(flat.state)
    return flat.state.clone()


@pytest.mark.parametrize("what", STRATEGIES)
@pytest.mark.parametrize("nesterov", [False, True])
def test_every_averaging_equals_one_update_on_the_mean_gradient(tmp_path: Path, what: str, nesterov: bool) -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(40, 30), nn.Linear(30, 5))

    def worker(rank: int) -> torch.Tensor:
        peer = open_peer(tmp_path, rank, WORKERS)
        row = trained(model, what, nesterov, peer, [rank])
        peer.close()
        return row

    with ThreadPoolExecutor(WORKERS) as pool:
        rows = list(pool.map(worker, range(WORKERS)))
    expected = trained(model, "gradients", nesterov, Alone(CPU), list(range(WORKERS)))
    for row in rows:
        assert torch.equal(row, rows[0])
        torch.testing.assert_close(row, expected, rtol=1e-5, atol=1e-6)
