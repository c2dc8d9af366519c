"""The captured step against its plain twin. On a CPU nothing is captured, but the same work is run."""

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lib.config.schema import (
    AugmentConfig,
    ComputeConfig,
    Config,
    DataConfig,
    ExchangeConfig,
    ModelConfig,
    NormalizeConfig,
    OptimizerConfig,
    SyntheticConfig,
)
from lib.data.augment.params import draw_params
from lib.data.sources.registry import source_kind
from lib.data.upload import Batch
from lib.evaluation.metrics import Meter
from lib.exchange.alone import Alone
from lib.exchange.base import Exchange
from lib.exchange.peer import Peer
from lib.models.layers import BatchNorm2d
from lib.models.losses import Outputs, cross_entropy, with_auxiliary
from lib.roles import replica_builder, step_builder
from lib.roles.replica_builder import build_replica
from lib.training.captured_step import CapturedStep
from lib.training.plain_step import PlainStep
from lib.training.precise_bn import measure_norms
from lib.training.replica import Replica
from lib.training.step import evaluate
from lib.training.weight_average import averages
from tests.support.interpreter import interpret_one_at_a_time
from tests.support.replicas import CPU, run_replicas

DEVICE = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
BATCH = 4


class Small(nn.Module):
    """A strided first layer with padding, batch norm, groups, dropout; in training a second head."""

    def __init__(self, *, heads: int = 1, dropout: float = 0.3) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3, bias=False), BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        self.body = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=2), BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2)
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(32, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 5))
        self.auxiliary = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)) if heads > 1 else None

    def forward(self, images_BCHW: Tensor) -> Outputs:
        stem = self.stem(images_BCHW)
        main: Tensor = self.head(self.body(stem))
        return (main, self.auxiliary(stem)) if self.auxiliary and self.training else main


@torch.no_grad()
def drawn_alike(model: nn.Module) -> nn.Module:
    """Give ``model`` initial weights from a generator of its own: threads share torch's default one."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4 + (parameter.ndim == 1))
    return model


def spec_of(name: str) -> SimpleNamespace:
    """``ModelSpec`` of one of these networks."""
    heads = 2 if name == "two heads" else 1
    loss = "losses.with_auxiliary" if heads > 1 else "losses.cross_entropy"
    return SimpleNamespace(
        build=lambda *_: drawn_alike(Small(heads=heads, dropout=0.0 if name == "without dropout" else 0.3)),
        crop_of=lambda img_size, *_: img_size - 3,
        loss=loss,
        loss_function=lambda: with_auxiliary if heads > 1 else cross_entropy,
        fused="",
    )


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    for module in (replica_builder, step_builder):
        monkeypatch.setattr(module, "model_spec", spec_of)


def config(name: str, freeze: tuple[str, ...] = (), ema: float = 0.0, img_size: int = 24, **more: Any) -> Config:
    data = DataConfig(source="synthetic", img_size=img_size, synthetic=SyntheticConfig(train=64, val=16, classes=5))
    base = Config(data=data, model=ModelConfig(name=name, freeze=freeze, ema=ema), batch_size=BATCH)
    return replace(base, compute=ComputeConfig(compile="never"), **more)


def batch(settings: Config, number: int, count: int, replica: Replica) -> Batch:
    rng, size = np.random.default_rng(number), settings.data.img_size
    params = draw_params(count, img_size=size, crop=replica.crop, augment=settings.augment, seed=number, epoch=0)
    images = torch.from_numpy(rng.integers(0, 256, (count, size, size, 3), np.uint8))
    labels = torch.from_numpy(rng.integers(0, 5, count))
    return Batch(*(tensor.to(replica.device) for tensor in (images, labels, torch.from_numpy(params))))


@contextmanager
def captured(monkeypatch: pytest.MonkeyPatch, *, reason_not_to: str = "") -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(step_builder, "why_not_captured", lambda _: reason_not_to)
        yield


def build(settings: Config, exchange: Exchange, device: torch.device = CPU) -> Replica:
    data = source_kind(settings.data).describe(settings.data)
    weights_K = torch.arange(1.0, 6.0) if settings.optimizer.class_weights != "none" else None
    return build_replica(settings, data, device, torch.float32, exchange, class_weights_K=weights_K)


def train(replica: Replica, settings: Config, counts: list[int], rank: int = 0) -> tuple[torch.Tensor, list[float]]:
    """Return state and metrics after updates on batches of these sizes, with a validation in the middle."""
    meter, workers = Meter(replica.device), settings.world_size
    for number, count in enumerate(counts):
        replica.step.gradients(
            batch(settings, 10 * number + rank, count, replica),
            meter,
            loss_scale=1 / BATCH,
            iteration=number,
            seed=100 * number + rank,
        )
        if (number + 1) % settings.optimizer.accumulate == 0:
            replica.step.update(0.01 / (number + 1), 1e-3)
        if number == 1:
            with replica.sync.synchronized():
                measured = [batch(settings, 98 + n, BATCH - n, replica) for n in (0, 1)]
                measure_norms(replica.step, measured, replica.flat.buffers)
                evaluate(replica.step, [batch(settings, 99, n, replica) for n in (BATCH, BATCH, 2)], meter)
    totals, bad_at = meter.take()
    assert bad_at == float("inf")
    assert workers == 1 or replica.sync.in_sync
    return replica.flat.state.clone(), totals


CASES = {
    "small": config("small"),
    "divided by std": config("small", normalize=NormalizeConfig(mean="channel", std=(58.4, 57.12, 57.38))),
    "two heads": config("two heads"),
    "wide augmentation, mixup and cutmix": config(
        "small", img_size=12, augment=AugmentConfig(crop="resized", color_jitter=0.4, mixup=0.5, cutmix=1.0)
    ),
    "two heads, mixup, smoothing": config(
        "two heads",
        img_size=12,
        augment=AugmentConfig(mixup=0.5),
        optimizer=OptimizerConfig(label_smoothing=0.1, class_weights="balanced"),
    ),
    "label smoothing, nesterov, decay of all": config(
        "small", optimizer=OptimizerConfig(label_smoothing=0.1, nesterov=True, decayed="all")
    ),
    "several batches an update": config("small", optimizer=OptimizerConfig(accumulate=2)),
    "radam, clipped, with lookahead and average": config(
        "small", optimizer=OptimizerConfig(name="radam", lookahead=2, clip_norm=0.5, betas=(0.9, 0.99)), ema=0.9
    ),
    "a class of torch.optim": config("small", optimizer=OptimizerConfig(name="Adagrad", options="eps=0.1")),
    "frozen parts": config("small", freeze=("stem", "head.1.bias")),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_plain_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = CASES[name]
    # Interpreting the kernels that mix images takes seconds for each batch; the other cases have more of them.
    counts = [BATCH, 2] if settings.augment.mixes else [BATCH, BATCH, 2, BATCH, 0, BATCH]
    with captured(monkeypatch, reason_not_to="it is the twin"):
        plain = build(settings, Alone(DEVICE), DEVICE)
    assert isinstance(plain.step, PlainStep)
    _, expected_metrics = train(plain, settings, counts)
    with captured(monkeypatch):
        replica = build(settings, Alone(DEVICE), DEVICE)
    assert isinstance(replica.step, CapturedStep)
    _, metrics = train(replica, settings, counts)
    for key, value in plain.model.state_dict().items():
        torch.testing.assert_close(replica.model.state_dict()[key], value, rtol=1e-4, atol=1e-5, msg=key)
    assert metrics == pytest.approx(expected_metrics, rel=1e-5)
    for key, value in averages(plain.flat).items():
        torch.testing.assert_close(averages(replica.flat)[key], value, rtol=1e-4, atol=1e-5, msg=key)
    for key, value in plain.flat.momentum_of.items():
        torch.testing.assert_close(replica.flat.momentum_of[key], value, rtol=1e-4, atol=1e-5, msg=key)


def test_memory_lent_to_others_is_freed_with_the_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks of parameters, which the garbage collector does not see, do not keep it."""
    settings = CASES["small"]
    with captured(monkeypatch):
        replica = build(settings, Alone(DEVICE), DEVICE)
    train(replica, settings, [BATCH])
    flat = weakref.ref(replica.flat)
    del replica
    gc.collect()
    assert flat() is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled here; tests/gpu has the runs")
@pytest.mark.parametrize(
    ("what", "optimizer"),
    [("gradients", {}), ("weights", {}), ("weights", {"name": "lamb", "clip_norm": 0.5, "lookahead": 2, "eps": 0.01})],
)
def test_two_workers_are_averaged_segment_by_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: Any, optimizer: dict[str, Any]
) -> None:
    """Also where one of them has no image in the last iteration, and so no backward pass.

    The large eps hides the rounding of gradients that are zero, those of biases before a norm.
    """
    monkeypatch.setattr(step_builder, "_SEGMENT_BYTES", 1 << 8)
    for folder in ("plain", "captured"):
        (tmp_path / folder).mkdir()
    settings = config(
        "without dropout",
        exchange=ExchangeConfig(method="peer", what=what),
        devices=("cpu", "cpu"),
        optimizer=OptimizerConfig(**optimizer),
    )

    def worker(peer: Peer, rank: int) -> torch.Tensor:
        peer.capturable = True  # as on GPUs: then the exchange is part of the step
        replica = build(settings, peer)
        state, _ = train(replica, settings, [BATCH, BATCH, 0 if rank else 1], rank)
        peer.verify(replica.flat.state)
        return state

    def plain(peer: Peer, rank: int) -> torch.Tensor:
        return train(build(settings, peer), settings, [BATCH, BATCH, 0 if rank else 1], rank)[0]

    expected = run_replicas(2, plain, tmp_path / "plain")[0]
    interpret_one_at_a_time(monkeypatch)
    with captured(monkeypatch):
        found = run_replicas(2, worker, tmp_path / "captured")[0]
    torch.testing.assert_close(found.sort().values, expected.sort().values, rtol=1e-4, atol=1e-5)


def test_cudnn_times_its_algorithms_for_full_batches_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    settings, seen = config("small"), []
    with captured(monkeypatch):
        replica = build(settings, Alone(DEVICE), DEVICE)
    assert isinstance(replica.step, CapturedStep)
    forward = replica.step._network.forward

    def noted(images: torch.Tensor, **options: Any) -> tuple[torch.Tensor, ...]:
        seen.append((len(images), torch.backends.cudnn.benchmark))
        return forward(images, **options)

    monkeypatch.setattr(replica.step._network, "forward", noted)
    train(replica, settings, [BATCH, 2, BATCH])
    assert {(BATCH, True), (2, False)} <= set(seen)
    assert not {(BATCH, False)} & set(seen)
    assert torch.backends.cudnn.benchmark


def test_sizes_change_between_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config("without dropout", augment=AugmentConfig(sizes=(15, 21), mirror=False))
    states = []
    for reason in ("it is the twin", ""):
        with captured(monkeypatch, reason_not_to=reason):
            replica = build(settings, Alone(DEVICE), DEVICE)
        for size, counts in ((15, [BATCH]), (21, [BATCH]), (15, [2])):
            replica.transform.size = size
            train(replica, settings, counts)
        states.append(replica.model.state_dict())
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=1e-4, atol=1e-5, msg=key)
