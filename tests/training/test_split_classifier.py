"""A classifier that is split over workers trains as that of one worker with the batch of all."""

from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lib.config.schema import OptimizerConfig
from lib.errors import ConfigError
from lib.evaluation.metrics import Meter
from lib.exchange.alone import Alone
from lib.exchange.base import Exchange
from lib.exchange.peer import Peer
from lib.kernels import keyed_dropout as kernel
from lib.models.registry import MODELS
from lib.roles import replica_builder, step_builder
from lib.training.fused_split import FusedSplitClassifier
from lib.training.keyed_dropout import keep_mask, keyed_dropout
from lib.training.precise_bn import measure_norms
from lib.training.replica_state import SavedTensors
from lib.training.shares import Shares
from lib.training.split_classifier import SplitClassifier, check_can_split
from lib.training.split_layers import SharedBatch
from lib.training.step import evaluate
from tests.support.device_peer import open_device_peer
from tests.support.interpreter import interpret_one_at_a_time
from tests.support.replicas import CPU, run_replicas, threads
from tests.support.split import CLASSES, CLASSIFIERS, assert_same, batch, build, config, network, spec_of, train


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (replica_builder, step_builder):
        monkeypatch.setattr(module, "model_spec", spec_of)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("workers", [2, 3, 4, 8])
def test_workers_train_as_one_with_the_batch_of_all(tmp_path: Path, name: str, workers: int) -> None:
    expected, *sums = train(config(name, 1), Alone(CPU))
    results = run_replicas(workers, lambda peer, _: train(config(name, workers), peer), tmp_path)
    for found, *_ in results:
        assert_same(found, expected)
    for which, total in enumerate(sums):
        ours = [sum(column) for column in zip(*(result[1 + which] for result in results), strict=True)]
        assert ours == pytest.approx(total, rel=1e-5)


def test_two_workers_with_a_tower_each_train_as_one_with_both(tmp_path: Path) -> None:
    expected, *sums = train(config("towers", 1), Alone(CPU), lr=1e-4)
    results = run_replicas(2, lambda peer, _: train(config("towers", 2, parallel="towers"), peer, 1e-4), tmp_path)
    for found, *_ in results:
        assert_same(found, expected)
    for which, total in enumerate(sums):
        ours = [sum(column) for column in zip(*(result[1 + which] for result in results), strict=True)]
        assert ours == pytest.approx(total, rel=1e-5)


def test_towers_need_two_of_them_and_two_workers() -> None:
    with pytest.raises(ConfigError, match="this network has none"):
        build(config("as alexnet", 2, parallel="towers"), Alone(CPU, 2))
    with pytest.raises(ConfigError, match="there are 3 workers"):
        build(config("towers", 3, parallel="towers"), Alone(CPU, 3))


@pytest.mark.parametrize(
    "optimizer",
    [OptimizerConfig(nesterov=True, decayed="all", label_smoothing=0.1), OptimizerConfig(accumulate=2)],
    ids=["nesterov", "accumulate"],
)
@pytest.mark.parametrize("what", ["weights", "gradients"])
def test_every_way_to_update_is_the_same(tmp_path: Path, optimizer: OptimizerConfig, what: Any) -> None:
    alone, three = (config("as alexnet", workers, optimizer=optimizer) for workers in (1, 3))
    expected, *_ = train(alone, Alone(CPU))
    three = replace(three, exchange=replace(three.exchange, what=what))
    for found, *_ in run_replicas(3, lambda peer, _: train(three, peer), tmp_path):
        assert_same(found, expected)


def test_one_worker_trains_the_plain_network_but_for_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.nn.functional.dropout", lambda x, *_, **__: x)
    monkeypatch.setattr("lib.training.split_classifier.keyed_dropout", lambda x, *_: x)
    for name in CLASSIFIERS:
        plain, *sums = train(config(name, 1, parallel="none"), Alone(CPU))
        split, *split_sums = train(config(name, 1), Alone(CPU))
        assert_same(split, plain)
        assert split_sums == [pytest.approx(sums[0], rel=1e-5), pytest.approx(sums[1], rel=1e-5)]


@pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled here; tests/gpu has the runs")
def test_the_captured_step_trains_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the update of one segment after the other, and with an update for which some workers have no image."""
    monkeypatch.setattr(step_builder, "_SEGMENT_BYTES", 1 << 8)
    updates = (6, 1, 6)
    name = "as alexnet_owt_bn"
    expected, *sums = train(config(name, 1), Alone(CPU), updates=updates)
    interpret_one_at_a_time(monkeypatch)
    monkeypatch.setattr(step_builder, "why_not_captured", lambda _: "")

    def body(rank: int) -> tuple[dict[str, Tensor], list[float], list[float]]:
        peer = open_device_peer(tmp_path, rank, 3)
        found = train(config(name, 3), peer, updates=updates)
        peer.close()
        return found

    with threads(3) as pool:
        results = list(pool.map(body, range(3)))
    for found, *_ in results:
        assert_same(found, expected)
    for which, total in enumerate(sums):
        ours = [sum(column) for column in zip(*(result[1 + which] for result in results), strict=True)]
        assert ours == pytest.approx(total, rel=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled here; tests/gpu has the runs")
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_fused_classifier_is_the_plain_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    interpret_one_at_a_time(monkeypatch)

    def body(exchange: Exchange, rank: int) -> None:
        model = network("as alexnet")
        for layer in model.classifier:
            if isinstance(layer, nn.Dropout):
                layer.p = 0.4
        batch = SharedBatch(Shares(rank=rank, world_size=workers), 4, CPU)
        split = SplitClassifier(model.classifier, exchange, batch, torch.float32)
        weights = {f"classifier.{key}": value.detach() for key, value in split.named_parameters()}
        gradients = {key: torch.zeros_like(value) for key, value in weights.items()}
        fused = FusedSplitClassifier(split, weights, gradients)
        generator = torch.Generator().manual_seed(rank)
        x_BC = torch.randn(4, 36, generator=generator, requires_grad=True)
        g_BK = torch.randn(4, CLASSES, generator=generator)
        batch.begin(seed=5, count=4)
        expected = split(x_BC)
        expected.backward(g_BK)
        torch.testing.assert_close(fused.forward(x_BC.detach(), training=True), expected.detach())
        assert x_BC.grad is not None
        torch.testing.assert_close(fused.backward(g_BK), x_BC.grad, rtol=1e-5, atol=1e-5)
        for key, parameter in split.named_parameters():
            torch.testing.assert_close(gradients[f"classifier.{key}"], parameter.grad, rtol=1e-5, atol=1e-5)

    if workers == 1:
        body(Alone(CPU), 0)
    else:
        run_replicas(workers, body, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled here; tests/gpu has the runs")
def test_the_kernel_of_the_dropout_is_its_plain_twin() -> None:
    x = torch.randn(11, 700)
    images, seed = torch.arange(11) * 2**27, torch.tensor(2**63 - 7)
    plain = keyed_dropout(x, 0.3, images, seed, 5, 1000)
    assert 0.25 < (plain == 0).float().mean() < 0.35
    torch.testing.assert_close(kernel.keyed_dropout(x, 0.3, images, seed, 5, 1000), plain)
    torch.testing.assert_close(kernel.keyed_dropout(x, 0.3, images, seed, 5, 1000, relu=True), plain.relu())


def test_what_is_loaded_reaches_the_worker_that_owns_it(tmp_path: Path) -> None:
    """From the first worker, bit for bit, and gathered again bit for bit."""
    name, lock = "as alexnet_owt_bn", Lock()
    saved, *_ = train(config(name, 1), Alone(CPU))
    momentum = {key.removeprefix("momentum of "): saved.pop(key) for key in list(saved) if key.startswith("momentum")}

    def body(peer: Any, rank: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        replica = build(config(name, 3), peer)
        if rank == 0:
            with lock:
                replica.state.load(SavedTensors(saved, momentum))
        replica.state.distribute(peer)
        collected = replica.state.collect(writes=rank == 2)
        assert (collected is None) == (rank != 2)
        return (collected.parameters, collected.momentum) if collected else ({}, {})

    found, their_momentum = run_replicas(3, body, tmp_path)[2]
    assert found.keys() == saved.keys()
    assert all(torch.equal(found[name], value) for name, value in saved.items())
    assert their_momentum.keys() == momentum.keys()
    assert all(torch.equal(their_momentum[name], value) for name, value in momentum.items())


def test_each_worker_holds_its_share_of_the_memory(tmp_path: Path) -> None:
    whole = build(config("as alexnet", 1, parallel="none"), Alone(CPU)).state.whole.parameters
    sizes = run_replicas(
        4, lambda peer, _: dict(build(config("as alexnet", 4), peer).model.named_parameters()), tmp_path
    )
    for parameters in sizes:
        assert parameters["classifier.4.weight"].shape == (16, 13)  # 64 columns over four
        assert parameters["features.0.weight"].shape == whole["features.0.weight"].shape


def test_shares_are_as_equal_as_they_come_and_leave_nothing_out() -> None:
    for count in (1, 3, 10, 100, 1000, 4096):
        for workers in (1, 2, 3, 4, 7, 8):
            shares = Shares(rank=0, world_size=workers).columns(count)
            assert [column for share in shares for column in share] == list(range(count))
            sizes = [len(share) for share in shares]
            assert max(sizes) - min(sizes) <= (8 if count % 8 == 0 and count >= 8 * workers else 1)


def test_a_mask_depends_on_image_and_column_alone() -> None:
    seed, images = torch.tensor(2**62 + 12345), torch.arange(200)
    whole = keep_mask(torch.Size([200, 500]), 0.3, images, seed, 2, 0)
    part = keep_mask(torch.Size([50, 100]), 0.3, images[100:150], seed, 2, 300)
    assert torch.equal(part, whole[100:150, 300:400])
    assert abs(whole.float().mean() - 0.7) < 0.005
    for axis in (0, 1):  # no image and no column is dropped more often than chance has it
        shares = whole.float().mean(axis)
        assert abs(shares.std() - (0.21 / whole.shape[axis]) ** 0.5) < 0.005
    others = [keep_mask(whole.shape, 0.3, images, seed + 1, 2, 0), keep_mask(whole.shape, 0.3, images, seed, 3, 0)]
    assert all(abs((other == whole).float().mean() - (0.49 + 0.09)) < 0.01 for other in others)


def test_networks_without_a_classifier_to_split_are_refused() -> None:
    def splits(name: str) -> bool:
        spec = MODELS[name]
        with torch.device("meta"):
            model = spec.build(10, spec.crop)
        try:
            check_can_split(name, model)
        except ConfigError as error:
            assert f"{name} has " in str(error)
            return False
        return True

    names = {
        *(name for name in MODELS if name.startswith(("alexnet", "vgg_"))),
        "overfeat",
        "tiny",
        "resnet18",
        "lenet",
    }
    refused = {name for name in names if not splits(name)}
    assert refused == {"resnet18", "alexnet_bn", "vgg_bn_v2"}


def test_a_frozen_classifier_is_refused() -> None:
    frozen = config("as alexnet", 1)
    frozen = replace(frozen, model=replace(frozen.model, freeze=("classifier.1",)))
    with pytest.raises(ConfigError, match="model.freeze names parts of classifier.*freeze parts of features only"):
        build(frozen, Alone(CPU))
    features = replace(frozen, model=replace(frozen.model, freeze=("features",)))
    before = build(features, Alone(CPU)).state.whole.parameters["features.0.weight"].shape
    assert before == (4, 3, 5, 5)


@pytest.mark.parametrize("captured", [False, True])
def test_norms_are_measured_as_without_splitting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, captured: bool
) -> None:
    """Two workers measure on different batches, and validate and save the classifier with the mean."""

    def measured(peer: Peer, parallel: str) -> tuple[dict[str, Tensor], list[float]]:
        peer.capturable = captured  # as on GPUs: then the exchange may be part of the step
        replica = build(config("norms in features too", 2, parallel), peer)
        batches = [batch(number, 6, peer.rank, 2) for number in range(2)]
        meter = Meter(CPU)
        with replica.sync.synchronized():
            measure_norms(replica.step, batches, *replica.state.norms)
            replica.state.average_norms(peer)
            evaluate(replica.step, batches, meter)
            saved = replica.state.collect(writes=True)
        assert saved is not None
        return {name: value for name, value in saved.parameters.items() if value.ndim}, meter.take()[0]

    expected = run_replicas(2, lambda peer, _: measured(peer, "none"), tmp_path)
    assert expected[0][0]["classifier.2.running_mean"].any()
    if captured:
        if torch.cuda.is_available():
            pytest.skip("kernels are compiled here; tests/gpu has the runs")
        interpret_one_at_a_time(monkeypatch)
        monkeypatch.setattr(step_builder, "why_not_captured", lambda _: "")
    found = run_replicas(2, lambda peer, _: measured(peer, "classifier"), tmp_path)
    for (ours, our_sums), (theirs, their_sums) in zip(found, expected, strict=True):
        assert_same(ours, theirs)
        assert our_sums == pytest.approx(their_sums, rel=1e-5)
