"""AdamW, RAdam and LAMB equal torch's or the paper's own, and none of them depends on segments or workers."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lib.config.schema import Config, ExchangeConfig, ModelConfig, OptimizerConfig
from lib.errors import ConfigError
from lib.exchange.alone import Alone
from lib.exchange.base import Exchange
from lib.exchange.peer import Peer
from lib.roles.optimizer_builder import plain_optimizer, slots
from lib.roles.sync_builder import build_sync
from lib.system import cache_blocks
from lib.training.average_gradients import clip
from lib.training.flat import FlatParameters
from tests.support.replicas import CPU, run_replicas

STEPS = 100


@pytest.fixture(autouse=True)
def several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a CPU update even these few parameters in several parts."""
    monkeypatch.setattr(cache_blocks, "_BLOCK", 20)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 3))


def rate(step: int) -> float:
    return 0.02 / (1 + step / 20)


def gradients(model: nn.Module, step: int) -> None:
    inputs = torch.randn(4, 7, generator=torch.Generator().manual_seed(step))
    model(inputs).square().sum().backward()


def trained(config: OptimizerConfig, decay: float) -> nn.Module:
    model = network()
    flat = FlatParameters(model, torch.zeros, slots=slots(config))
    sync = build_sync(ExchangeConfig(), plain_optimizer(flat, config), flat, Alone(CPU), 1, config.clip_norm)
    for step in range(STEPS):
        flat.gradients.zero_()
        gradients(model, step)
        sync.begin(rate(step), decay)
        sync.update(flat.whole)
    return model


def trained_by(kind: Any, decay: float, clip_norm: float = 0.0, **options: Any) -> nn.Module:
    """Train the same with an optimizer of torch."""
    model = network()
    weights, biases = ([p for p in model.parameters() if p.ndim == ndim] for ndim in (2, 1))
    optimizer = kind([{"params": weights}, {"params": biases, "weight_decay": 0.0}], weight_decay=decay, **options)
    for step in range(STEPS):
        optimizer.zero_grad()
        gradients(model, step)
        if clip_norm:
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()
    return model


def assert_equal(ours: nn.Module, theirs: nn.Module) -> None:
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.95, 0.99)])
@pytest.mark.parametrize("clip_norm", [0.0, 0.3])
def test_adamw_is_torchs(betas: tuple[float, float], clip_norm: float) -> None:
    config = OptimizerConfig(name="adamw", betas=betas, eps=1e-6, bias_rate_factor=1.0, clip_norm=clip_norm)
    theirs = trained_by(torch.optim.AdamW, 0.1, clip_norm, betas=betas, eps=1e-6)
    assert_equal(trained(config, 0.1), theirs)


def test_the_gradient_of_a_large_network_is_clipped_exactly() -> None:
    gradient = torch.randn(4_000_000, generator=torch.Generator().manual_seed(0))
    clip(gradient, 0.5)
    assert float(gradient.double().square().sum().sqrt()) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.95, 0.99), (0.5, 0.6)])
def test_radam_is_torchs(betas: tuple[float, float]) -> None:
    """With the last betas, its mean of squares is never long enough to be used."""
    config = OptimizerConfig(name="radam", betas=betas, bias_rate_factor=1.0)
    theirs = trained_by(torch.optim.RAdam, 0.1, betas=betas, decoupled_weight_decay=True)
    assert_equal(trained(config, 0.1), theirs)


@pytest.mark.parametrize("decayed", ["weights", "all"])
def test_lamb_is_the_papers(decayed: Any) -> None:
    """Algorithm 2 of arXiv:1904.00962 in float64; a layer that is zero moves at the plain rate."""
    config = OptimizerConfig(name="lamb", betas=(0.9, 0.99), eps=1e-6, bias_rate_factor=1.0, decayed=decayed)
    model = network()
    with torch.no_grad():
        next(iter(model.parameters())).zero_()
    flat = FlatParameters(model, torch.zeros, slots=slots(config))
    optimizer = plain_optimizer(flat, config)
    x = {name: p.detach().double().numpy().copy() for name, p in model.named_parameters()}
    m, v = ({name: np.zeros_like(value) for name, value in x.items()} for _ in range(2))
    for t in range(1, STEPS + 1):
        flat.gradients.zero_()
        gradients(model, t)
        for name, p in model.named_parameters():
            assert p.grad is not None
            g = p.grad.double().numpy()
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.99 * v[name] + 0.01 * g**2
            r = m[name] / (1 - 0.9**t) / (np.sqrt(v[name] / (1 - 0.99**t)) + 1e-6)
            ratio = 1.0
            if decayed == "all" or p.ndim > 1:
                r += 0.1 * x[name]
                norms = np.linalg.norm(x[name]), np.linalg.norm(r)
                ratio = float(norms[0] / norms[1]) if norms[0] and norms[1] else 1.0
            x[name] = x[name] - rate(t) * ratio * r
        flat.updates += 1
        optimizer.set(rate(t), 0.1)
        optimizer.step(flat.whole)
    for name, p in model.named_parameters():
        np.testing.assert_allclose(p.detach().numpy(), x[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "radam"])
def test_lookahead_is_the_papers(name: Any) -> None:
    """Algorithm 1 of arXiv:1907.08610 around the optimizer alone."""
    config = OptimizerConfig(name=name, lookahead=6)
    model = network()
    inner = OptimizerConfig(name=name)
    flat = FlatParameters(model, torch.zeros, slots=slots(inner))
    optimizer, slow = plain_optimizer(flat, inner), flat.parameters.clone()
    for step in range(STEPS):
        flat.gradients.zero_()
        gradients(model, step)
        flat.updates += 1
        optimizer.set(rate(step), 0.1)
        optimizer.step(flat.whole)
        if (step + 1) % 6 == 0:
            slow += 0.5 * (flat.parameters - slow)
            flat.parameters.copy_(slow)
    assert_equal(trained(config, 0.1), model)


CASES: dict[str, dict[str, Any]] = {
    "adamw": {"name": "adamw"},
    "radam with lookahead": {"name": "radam", "lookahead": 2},
    "lamb": {"name": "lamb"},
    "sgd, clipped": {"clip_norm": 0.5},
    "lamb, clipped, with lookahead": {"name": "lamb", "clip_norm": 0.5, "lookahead": 3},
}


def updated(config: OptimizerConfig, what: Any, exchange: Exchange, ranks: list[int], workers: int) -> torch.Tensor:
    """Return the state after updates in segments of whole parameters on the mean gradient of ``ranks``."""
    model = copy.deepcopy(nn.Sequential(nn.Linear(40, 30), nn.Linear(30, 5)))
    flat = FlatParameters(model, exchange.allocate, exchange.allocate, slots=slots(config))
    with torch.no_grad():
        flat.parameters.copy_(torch.randn(len(flat.parameters), generator=torch.Generator().manual_seed(99)))
        flat.restart_copies()
    sync = build_sync(
        ExchangeConfig(what=what), plain_optimizer(flat, config), flat, exchange, workers, config.clip_norm
    )
    for step in range(6):
        seeds = [10 * step + rank for rank in ranks]
        drawn = [torch.randn(len(flat.gradients), generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        flat.gradients.copy_(torch.stack(drawn).mean(0))
        sync.begin(0.05, 0.01)
        early = slice(0, flat.parts(flat.whole)[0].stop)
        sync.update(early)
        sync.update(slice(early.stop, flat.whole.stop))
        exchange.verify(flat.state)
    return flat.state.clone()


@pytest.mark.parametrize("what", ["weights", "gradients"])
@pytest.mark.parametrize("name", CASES)
def test_three_workers_equal_one_on_the_mean_gradient(tmp_path: Path, name: str, what: Any) -> None:
    config = OptimizerConfig(**CASES[name])

    def worker(peer: Peer, rank: int) -> torch.Tensor:
        return updated(config, what, peer, [rank], 3)

    rows = run_replicas(3, worker, tmp_path)
    expected = updated(config, what, Alone(CPU), [0, 1, 2], 1)
    for row in rows:
        assert torch.equal(row, rows[0])
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("exchange", [{"rule": "elastic"}, {"every": 4}])
@pytest.mark.parametrize(
    ("optimizer", "says"),
    [
        ({"name": "adamw"}, "optimizer.name adamw"),
        ({"clip_norm": 1.0}, "optimizer.clip_norm 1"),
        ({"lookahead": 6}, "optimizer.lookahead 6"),
        ({}, "model.ema 0.99"),
    ],
)
def test_replicas_that_differ_in_between_are_refused(
    optimizer: dict[str, Any], exchange: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=f"{says} needs replicas that are equal after every update"):
        Config(
            optimizer=OptimizerConfig(**optimizer),
            exchange=ExchangeConfig(**exchange),
            model=ModelConfig(ema=0.0 if optimizer else 0.99),
        )
