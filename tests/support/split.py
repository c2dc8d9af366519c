"""Small networks whose classifier is split over workers, and trainings of a few updates with them."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lib.config.schema import Config, DataConfig, ExchangeConfig, ModelConfig, SyntheticConfig
from lib.data.augment.params import center_params
from lib.data.sources.registry import source_kind
from lib.data.upload import Batch
from lib.evaluation.metrics import Meter
from lib.exchange.base import Exchange
from lib.models.layers import BatchNorm1d, BatchNorm2d, FeatureClassifier, threshold
from lib.models.losses import cross_entropy
from lib.roles.replica_builder import build_replica
from lib.training.replica import Replica
from lib.training.step import evaluate
from tests.support.replicas import CPU

CLASSES = 5
UPDATES = (24, 5, 24)
"""images of all workers in each update; with eight workers the second leaves some without any"""
CLASSIFIERS: dict[str, Callable[[int], list[nn.Module]]] = {
    "as alexnet": lambda n: [
        *(nn.Flatten(), nn.Linear(n, 13), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(13, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, CLASSES)),
    ],
    "as alexnet_owt_bn": lambda n: [
        *(nn.Dropout(0.5), nn.Linear(n, 16), BatchNorm1d(16), nn.ReLU()),
        *(nn.Dropout(0.5), nn.Linear(16, 11), BatchNorm1d(11), threshold(), nn.Linear(11, CLASSES)),
    ],
    "a linear layer": lambda n: [nn.Dropout(0.2), nn.Linear(n, CLASSES)],
}


@torch.no_grad()
def network(name: str) -> FeatureClassifier:
    """Return a network with initial weights from a separate generator, since threads share torch's default one."""
    features = nn.Sequential(nn.Conv2d(3, 4, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(3))
    if name == "towers":
        grouped = nn.Conv2d(8, 4, 3, padding=1, groups=2)
        features = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), grouped, nn.ReLU(), nn.MaxPool2d(3, 3))
    if name == "norms in features too":
        features.insert(1, BatchNorm2d(4))
    classifiers = {"towers": "as alexnet", "norms in features too": "as alexnet_owt_bn"}
    model = FeatureClassifier(features, nn.Sequential(*CLASSIFIERS[classifiers.get(name, name)](36)))
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 6 + (parameter.ndim == 1))
    return model


def spec_of(name: str) -> SimpleNamespace:
    """``ModelSpec`` of one of these networks."""
    return SimpleNamespace(
        build=lambda *_: network(name),
        crop_of=lambda img_size, *_: img_size - 3,
        loss="losses.cross_entropy",
        loss_function=lambda: cross_entropy,
        fused="",
    )


def config(name: str, workers: int, parallel: Any = "classifier", ema: float = 0.0, **more: Any) -> Config:
    data = DataConfig(source="synthetic", img_size=24, synthetic=SyntheticConfig(train=64, val=16, classes=CLASSES))
    return Config(
        data=data,
        model=ModelConfig(name=name, parallel=parallel, ema=ema),
        devices=("cpu",) * workers,
        exchange=ExchangeConfig(method="peer" if workers > 1 else "none"),
        batch_size=UPDATES[0] // workers,
        **more,
    )


def build(settings: Config, exchange: Exchange, dtype: torch.dtype = torch.float32) -> Replica:
    data = source_kind(settings.data).describe(settings.data)
    return build_replica(settings, data, CPU, dtype, exchange)


def batch(number: int, total: int, rank: int, workers: int) -> Batch:
    rng, own = np.random.default_rng(number), slice(total * rank // workers, total * (rank + 1) // workers)
    images = torch.from_numpy(rng.integers(0, 256, (total, 24, 24, 3), np.uint8))
    labels = torch.from_numpy(rng.integers(0, CLASSES, total))
    params = torch.from_numpy(center_params(total, img_size=24, crop=21))
    return Batch(images[own], labels[own], params[own])


def train(
    settings: Config, exchange: Exchange, lr: float = 0.05, updates: Sequence[int] = UPDATES
) -> tuple[dict[str, Tensor], list[float], list[float]]:
    """Return weights, momentum and slots, and the metric sums of training and validation, after these updates."""
    replica, workers = build(settings, exchange), exchange.world_size
    meters, number = [Meter(CPU), Meter(CPU)], 0
    for update, total in enumerate(updates):
        for _ in range(settings.optimizer.accumulate):
            mine = batch(number, total, exchange.rank, workers)
            scale = workers / total / settings.optimizer.accumulate
            replica.step.gradients(mine, meters[0], loss_scale=scale, iteration=number, seed=number)
            number += 1
        replica.step.update(lr / (update + 1), 1e-3)
    with replica.sync.synchronized():
        evaluate(replica.step, [batch(99, total, exchange.rank, workers) for total in (24, 3)], meters[1])
        saved = replica.state.collect(writes=True)
    assert saved is not None
    found = dict(saved.parameters)
    for kind, tensors in {"momentum": saved.momentum, **saved.slots}.items():
        found |= {f"{kind} of {name}": value for name, value in tensors.items()}
    for name, values in saved.other.items():
        found |= {f"{kind} of {name}": value for kind, value in values.items()}
    return found, meters[0].take()[0], meters[1].take()[0]


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5, msg=name)
