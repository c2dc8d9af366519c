"""Every optimizer moves a network whose classifier is split over workers as it moves that of one worker."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import torch
from torch import Tensor

from lib.config.schema import Config, OptimizerConfig
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
    "lamb": {"name": "lamb", "eps": 0.1},
    "lamb, clipped, decay of all": {"name": "lamb", "eps": 0.1, "clip_norm": 0.5, "decayed": "all", "lookahead": 2},
    "torch's NAdam": {"name": "NAdam", "options": "eps=0.1", "lookahead": 2},
    "torch's RMSprop, clipped": {"name": "RMSprop", "options": "momentum=0.5 eps=0.1", "clip_norm": 0.5},
    "adamw, several batches an update": ADAMW | {"decayed": "all", "accumulate": 2},
}


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (replica_builder, step_builder):
        monkeypatch.setattr(module, "model_spec", spec_of)


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the captured step, in which gradients are bfloat16 where the network computes in it."""
    if torch.cuda.is_available():
        pytest.skip("kernels are compiled here; tests/gpu has the runs")
    interpret_one_at_a_time(monkeypatch)
    monkeypatch.setattr(step_builder, "why_not_captured", lambda _: "")


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


@pytest.mark.parametrize("case", ["adamw", "lamb, clipped, decay of all", "torch's NAdam"])
def test_two_towers_train_as_one_worker(tmp_path: Path, case: str) -> None:
    expected, *_ = train(settings(case, 1, "towers"), Alone(CPU), lr=1e-3)
    two = settings(case, 2, "towers", parallel="towers")
    for found, *_ in run_replicas(2, lambda peer, _: train(two, peer, lr=1e-3), tmp_path):
        assert_same(found, expected)


@pytest.mark.usefixtures("captured")
@pytest.mark.parametrize("case", ["radam, clipped, with lookahead", "lamb, clipped, decay of all"])
def test_the_captured_step_trains_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """With the update of one segment after the other, and with an update for which a worker has no image."""
    monkeypatch.setattr(step_builder, "_SEGMENT_BYTES", 1 << 8)
    name, updates = "as alexnet", (2, 1)
    with monkeypatch.context() as patch:
        patch.setattr(step_builder, "why_not_captured", lambda _: "it is the twin")
        expected, *_ = train(settings(case, 1, name), Alone(CPU), updates=updates)

    def body(rank: int) -> dict[str, Tensor]:
        peer = open_device_peer(tmp_path, rank, 2)
        found, *_ = train(settings(case, 2, name), peer, updates=updates)
        peer.close()
        return found

    with threads(2) as pool:
        for found in pool.map(body, range(2)):
            assert_same(found, expected)


class Updated(NamedTuple):
    """A worker's flat tensors, float64, around an update with learning rate 1."""

    gradients: Tensor
    weights: Tensor
    moved: Tensor
    owned: Tensor
    """which numbers are this worker's own, bool"""
    tensors: list[slice]
    """where each weight lies"""


def update_in_bfloat16(settings: Config, folder: Path) -> list[Updated]:
    """Update two workers once from random gradients, in two segments, as on GPUs."""

    def worker(rank: int) -> Updated:
        peer = open_device_peer(folder, rank, 2)
        replica = build(settings, peer, torch.bfloat16)
        flat, before = replica.flat, replica.flat.parameters.double()
        drawn = torch.randn(len(flat.gradients), generator=torch.Generator().manual_seed(rank))
        gradients = flat.gradients.copy_(drawn).double()
        replica.sync.begin(1.0, 0.0)
        early = slice(0, flat.parts(flat.whole)[1].stop)
        replica.sync.update(early)
        assert torch.equal(flat.parameters.double(), before)
        replica.sync.update(slice(early.stop, flat.whole.stop))
        owned = torch.zeros(len(before), dtype=torch.bool)
        for segment in OwnedParts(cast(SplitNetwork, replica.model), flat).segments:
            owned[segment] = True
        moved = flat.parameters.double() - before
        moved[flat.n_weights :] /= settings.optimizer.bias_rate_factor
        peer.close()
        return Updated(gradients, before, moved, owned, flat.parts(slice(0, flat.n_weights)))

    with threads(2) as pool:
        return list(pool.map(worker, range(2)))


@pytest.mark.usefixtures("captured")
@pytest.mark.parametrize("what", ["weights", "gradients"])
def test_bfloat16_gradients_are_clipped_to_the_norm_of_all(tmp_path: Path, what: Any) -> None:
    """Those of what is replicated are gathered, or averaged in place; those of shares stay in place."""
    two = settings("sgd, clipped", 2)
    two = replace(two, exchange=replace(two.exchange, what=what))
    first, second = update_in_bfloat16(two, tmp_path)
    mean, owned = (first.gradients + second.gradients) / 2, first.owned
    parts = first.gradients[owned], second.gradients[owned], mean[~owned]
    scale = two.optimizer.clip_norm / torch.cat(parts).norm()
    for worker in (first, second):
        expected = torch.where(owned, worker.gradients, mean) * -scale
        torch.testing.assert_close(worker.moved, expected, rtol=1e-2, atol=1e-6)
    assert torch.equal(first.moved[~owned], second.moved[~owned])


@pytest.mark.usefixtures("captured")
def test_the_trust_ratio_of_lamb_is_that_of_the_whole_tensor(tmp_path: Path) -> None:
    """In the first update u is g / (|g| + eps); see ``lib.training.adaptive``."""
    two = settings("lamb", 2)
    workers = update_in_bfloat16(two, tmp_path)
    mean, owned = (workers[0].gradients + workers[1].gradients) / 2, workers[0].owned
    for tensor in workers[0].tensors:
        of = workers if owned[tensor.start] else workers[:1]
        gradients = [worker.gradients if owned[tensor.start] else mean for worker in of]
        updates = [g[tensor] / (g[tensor].abs() + two.optimizer.eps) for g in gradients]
        ratio = torch.cat([worker.weights[tensor] for worker in of]).norm() / torch.cat(updates).norm()
        for worker, update in zip(of, updates, strict=True):
            torch.testing.assert_close(worker.moved[tensor], -ratio * update, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "says"),
    [
        ({"name": "Adafactor"}, "optimizer.name Adafactor looks at whole tensors; use sgd, adamw, radam or lamb"),
        ({"name": "Muon"}, "optimizer.name Muon looks at whole tensors"),
    ],
)
def test_what_looks_at_whole_tensors_is_refused(optimizer: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        config("as alexnet", 2, optimizer=OptimizerConfig(**optimizer))
