"""``exchange.what weights`` with bfloat16 gradients, as on GPUs, keeps its promise."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lib.config.schema import ExchangeConfig, OptimizerConfig
from lib.exchange import device_peer
from lib.exchange.alone import Alone
from lib.exchange.device_peer import DevicePeer
from lib.kernels import adaptive, sgd
from lib.roles.optimizer_builder import fused_optimizer, slots
from lib.roles.sync_builder import build_sync
from lib.training.flat import FlatParameters
from lib.training.fused_optimizer import FusedSGD
from lib.training.sync import AverageWeights
from tests.support.device_peer import open_device_peer
from tests.support.replicas import CPU

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled here; tests/gpu has the runs")

MODEL = nn.Sequential(nn.Linear(60, 40), nn.Linear(40, 5))


def updated(rank: int, folder: Path, world_size: int, nesterov: bool, to_the_letter: bool) -> torch.Tensor:
    """Return weights and momentum after three updates in two segments."""
    model = copy.deepcopy(MODEL)
    exchange: DevicePeer = open_device_peer(folder, rank, world_size)
    flat = FlatParameters(model, exchange.allocate, lambda numel: exchange.allocate(numel, torch.bfloat16))
    optimizer = FusedSGD(flat, flat.parameters.clone(), OptimizerConfig(nesterov=nesterov))
    optimizer.set(0.05, 0.01)
    strategy = AverageWeights(optimizer, flat, exchange)
    for step in range(3):
        flat.gradients.copy_(torch.randn(len(flat.gradients), generator=torch.Generator().manual_seed(8 * step + rank)))
        for segment in (slice(0, 600), slice(600, len(flat.parameters))):
            if to_the_letter:
                optimizer.step(segment)
                exchange.all_reduce_mean(flat.parameters[segment], flat.momentum[segment])
            else:
                strategy.update(segment)
    exchange.verify(flat.state)
    result = flat.state.clone()
    exchange.close()
    return result


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("world_size", [2, 3, 5])  # gathered gradients up to four, averaged momentum beyond
def test_weights_and_momentum_are_the_means_of_those_of_all_replicas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world_size: int, nesterov: bool
) -> None:
    one_at_a_time = threading.Lock()  # Triton's interpreter is not thread-safe
    for module, name in ((device_peer, "mean"), (sgd, "update"), (sgd, "apply")):
        monkeypatch.setattr(module, name, _locked(getattr(module, name), one_at_a_time))
    results = []
    for to_the_letter in (False, True):
        folder = tmp_path / str(to_the_letter)
        folder.mkdir()

        def worker(rank: int, folder: Path = folder, to_the_letter: bool = to_the_letter) -> torch.Tensor:
            return updated(rank, folder, world_size, nesterov, to_the_letter)

        with ThreadPoolExecutor(world_size) as pool:
            results.append(next(iter(pool.map(worker, range(world_size)))))
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-6)


def moved(rank: int, folder: Path, world_size: int, alone: bool, settings: dict[str, Any]) -> torch.Tensor:
    """Return the state after three updates on the mean gradient, averaged here or, ``alone``, computed before."""
    config, model = OptimizerConfig(**settings), copy.deepcopy(MODEL)
    exchange = Alone(CPU) if alone else open_device_peer(folder, rank, world_size)
    dtype = torch.float32 if alone else torch.bfloat16
    flat = FlatParameters(model, exchange.allocate, lambda numel: exchange.allocate(numel, dtype), slots=slots(config))
    optimizer = fused_optimizer(flat, flat.parameters.clone(), config)
    sync = build_sync(ExchangeConfig(), optimizer, flat, exchange, 1 if alone else world_size, config.clip_norm)
    for step in range(3):
        drawn = [
            torch.randn(len(flat.gradients), generator=torch.Generator().manual_seed(8 * step + number)).bfloat16()
            for number in range(world_size)
        ]
        flat.gradients.copy_(torch.stack(drawn).float().mean(0) if alone else drawn[rank])
        sync.begin(0.05, 0.01)
        last_layer = slice(0, flat.parts(flat.whole)[0].stop)
        for segment in (last_layer, slice(last_layer.stop, len(flat.parameters))):
            sync.update(segment)
    exchange.verify(flat.state)
    result = flat.state.clone()
    exchange.close()
    return result


@pytest.mark.parametrize("settings", [{"name": "lamb", "eps": 1e-2}, {"name": "adamw", "clip_norm": 0.5}])
@pytest.mark.parametrize("world_size", [2, 5])  # gathered gradients up to four, unless clipped; float32 means beyond
def test_other_optimizers_get_the_mean_gradient_unrounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world_size: int, settings: dict[str, Any]
) -> None:
    one_at_a_time = threading.Lock()
    for module, name in ((device_peer, "mean"), (adaptive, "update"), (adaptive, "apply")):
        monkeypatch.setattr(module, name, _locked(getattr(module, name), one_at_a_time))

    def worker(rank: int) -> torch.Tensor:
        return moved(rank, tmp_path, world_size, False, settings)

    with ThreadPoolExecutor(world_size) as pool:
        found = next(iter(pool.map(worker, range(world_size))))
    expected = moved(0, tmp_path, world_size, True, settings)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def _locked(kernel: Any, lock: threading.Lock) -> Any:
    def run(*arguments: Any, **options: Any) -> None:
        with lock:
            kernel(*arguments, **options)

    return run
