"""Every optimizer moves a network whose classifier is split over workers as it moves that of one worker."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from lib.config.schema import Config, ModelConfig, OptimizerConfig
from lib.errors import ConfigError
from lib.exchange.alone import Alone
from lib.roles import replica_builder, step_builder
from lib.training.owned import OwnedParts
from lib.training.split_classifier import SplitNetwork
from tests.support.device_peer import open_device_peer
from tests.support.interpreter import interpret_one_at_a_time
from tests.support.replicas import CPU, run_replicas, threads
from tests.support.split import assert_same, build, config, spec_of, train

# Gradients that are zero, as those of biases before a norm, are rounded to some small numbers: a large eps hides these.
ADAMW: dict[str, Any] = {"name": "adamw", "eps": 0.1}
RADAM: dict[str, Any] = {"name": "radam", "eps": 0.1, "betas": (0.9, 0.9)}
CASES: dict[str, dict[str, Any]] = {
    "adamw": ADAMW,
    "radam with lookahead": RADAM | {"lookahead": 2},
    "nesterov with lookahead": {"nesterov": True, "lookahead": 2},
    "adamw, clipped": ADAMW | {"clip_norm": 0.5},
    "radam, clipped, with lookahead": RADAM | {"clip_norm": 0.5, "lookahead": 2},
    "sgd, clipped": {"clip_norm": 0.1},
    "torch's NAdam": {"name": "NAdam", "options": "eps=0.1", "lookahead": 2},
    "torch's RMSprop, clipped": {"name": "RMSprop", "options": "momentum=0.5 eps=0.1", "clip_norm": 0.5},
    "adamw, several batches an update": ADAMW | {"decayed": "all", "accumulate": 2},
}


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (replica_builder, step_builder):
        monkeypatch.setattr(module, "model_spec", spec_of)


def settings(case: str, workers: int, name: str = "as alexnet_owt_bn", **more: Any) -> Config:
    return config(name, workers, ema=0.9, optimizer=OptimizerConfig(**CASES[case]), **more)


@pytest.mark.parametrize("case", CASES)
def test_workers_train_as_one(tmp_path: Path, case: str) -> None:
    """With slots and the average over time, whose running statistics are split as well."""
    expected, *sums = train(settings(case, 1), Alone(CPU))
    for workers in (2, 3, 4) if case == "adamw, clipped" else (3,):
        folder = tmp_path / str(workers)
        folder.mkdir()
        results = run_replicas(workers, lambda peer, _: train(settings(case, peer.world_size), peer), folder)
        for found, *_ in results:
            assert_same(found, expected)
        for which, total in enumerate(sums):
            ours = [sum(column) for column in zip(*(result[1 + which] for result in results), strict=True)]
            assert ours == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_one_worker_trains_the_plain_network_but_for_dropout(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.setattr("torch.nn.functional.dropout", lambda x, *_, **__: x)
    monkeypatch.setattr("lib.training.split_classifier.keyed_dropout", lambda x, *_: x)
    plain, *_ = train(settings(case, 1, parallel="none"), Alone(CPU))
    split, *_ = train(settings(case, 1), Alone(CPU))
    assert_same(split, plain)


def test_two_towers_train_as_one_worker(tmp_path: Path) -> None:
    expected, *_ = train(settings("adamw", 1, "towers"), Alone(CPU), lr=1e-3)
    two = settings("adamw", 2, "towers", parallel="towers")
    for found, *_ in run_replicas(2, lambda peer, _: train(two, peer, lr=1e-3), tmp_path):
        assert_same(found, expected)


@pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled here; tests/gpu has the runs")
@pytest.mark.parametrize("case", ["radam, clipped, with lookahead"])
def test_the_captured_step_trains_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """With the update of one segment after the other, and with an update for which a worker has no image."""
    monkeypatch.setattr(step_builder, "_SEGMENT_BYTES", 1 << 8)
    updates = (4, 1, 4)
    expected, *_ = train(settings(case, 1), Alone(CPU), updates=updates)
    interpret_one_at_a_time(monkeypatch)
    monkeypatch.setattr(step_builder, "why_not_captured", lambda _: "")

    def body(rank: int) -> dict[str, Tensor]:
        peer = open_device_peer(tmp_path, rank, 2)
        found, *_ = train(settings(case, 2), peer, updates=updates)
        peer.close()
        return found

    with threads(2) as pool:
        for found in pool.map(body, range(2)):
            assert_same(found, expected)


@pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled here; tests/gpu has the runs")
@pytest.mark.parametrize("what", ["weights", "gradients"])
def test_bfloat16_gradients_are_clipped_to_the_norm_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: Any
) -> None:
    """As on GPUs: those of what is replicated are gathered, or averaged in place; those of shares stay in place."""
    interpret_one_at_a_time(monkeypatch)
    monkeypatch.setattr(step_builder, "why_not_captured", lambda _: "")
    two = settings("sgd, clipped", 2)
    two = replace(two, exchange=replace(two.exchange, what=what))

    def body(rank: int) -> tuple[Tensor, Tensor, list[slice]]:
        peer = open_device_peer(tmp_path, rank, 2)
        replica = build(two, peer, torch.bfloat16)
        flat = replica.flat
        assert flat.gradients.dtype == torch.bfloat16
        drawn = torch.randn(len(flat.gradients), generator=torch.Generator().manual_seed(rank)).bfloat16()
        flat.gradients.copy_(drawn)
        replica.sync.begin(1.0, 0.0)
        early = slice(0, flat.parts(flat.whole)[1].stop)
        replica.sync.update(early)
        assert not flat.momentum.any()
        replica.sync.update(slice(early.stop, flat.whole.stop))
        moved = flat.momentum.clone()
        moved[flat.n_weights :] /= two.optimizer.bias_rate_factor
        peer.close()
        return drawn.double(), moved.double(), OwnedParts(cast(SplitNetwork, replica.model), flat).segments

    with threads(2) as pool:
        (first, moved, owned), (second, others_moved, _) = pool.map(body, range(2))
    mean, squares = (first + second) / 2, torch.zeros(())
    replicated = torch.ones(len(mean), dtype=torch.bool)
    for segment in owned:
        replicated[segment] = False
        squares = squares + first[segment].square().sum() + second[segment].square().sum()
    scale = two.optimizer.clip_norm / (squares + mean[replicated].square().sum()).sqrt()
    for gradients, found in ((first, moved), (second, others_moved)):
        expected = torch.where(replicated, mean, gradients) * -scale
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-7)
    assert torch.equal(moved[replicated], others_moved[replicated])


@pytest.mark.parametrize(
    ("optimizer", "says"),
    [
        ({"name": "lamb"}, "optimizer.name lamb looks at whole tensors; use sgd, adamw or radam"),
        ({"name": "Adafactor"}, "optimizer.name Adafactor looks at whole tensors; use sgd, adamw or radam"),
    ],
)
def test_what_looks_at_whole_tensors_is_refused(optimizer: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        config("as alexnet", 2, optimizer=OptimizerConfig(**optimizer))


def test_measured_norms_are_refused() -> None:
    with pytest.raises(ConfigError, match="set model.precise_bn to 0"):
        Config(model=ModelConfig(parallel="classifier", precise_bn=64))
