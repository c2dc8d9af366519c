"""``compute.precision`` and ``compute.compile`` on a CPU."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lib.config.schema import ComputeConfig, Config, DataConfig, ModelConfig
from lib.data.augment.params import draw_params
from lib.data.dataset import DataSet
from lib.data.sources.registry import source_kind
from lib.data.upload import Batch
from lib.evaluation.metrics import Meter
from lib.exchange.alone import Alone
from lib.roles.replica_builder import build_replica
from lib.system.devices import prepare
from lib.training.replica import Replica
from tests.support.data_sets import write_data_set

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def settings_of_the_process() -> Iterator[None]:
    before = torch.get_num_threads(), torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_num_threads(before[0])
    torch.set_float32_matmul_precision(before[1])
    torch.backends.cudnn.allow_tf32 = before[2]


@pytest.fixture
def step(tmp_path: Path) -> Callable[..., Replica]:
    """Return a function that makes a replica with these ``compute`` settings and trains one update."""
    config = Config(data=DataConfig(dir=write_data_set(tmp_path / "data").dir), model=ModelConfig(name="tiny"))
    data: DataSet = source_kind(config.data).describe(config.data)

    def make(**compute: Any) -> Replica:
        settings = replace(config, compute=ComputeConfig(threads=1, **compute))
        dtype = prepare(
            CPU, precision=settings.compute.precision, deterministic=settings.compute.deterministic, threads=1
        )
        replica = build_replica(settings, data, CPU, dtype, Alone(CPU))
        images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8))
        params = draw_params(8, img_size=32, crop=replica.crop, augment=config.augment, seed=1, epoch=0)
        batch = Batch(images, torch.arange(8) % 4, torch.from_numpy(params))
        replica.step.gradients(batch, Meter(CPU), loss_scale=1 / 8, iteration=0, seed=0)
        replica.step.update(0.01, 0.0)
        return replica

    return make


def distance(found: Replica, expected: Replica) -> float:
    """Return the norm of the difference between two updates, relative to the norm of one."""
    ours, theirs = found.flat.momentum, expected.flat.momentum
    return float((ours - theirs).norm() / theirs.norm())


def test_bf16_equals_float32_up_to_rounding_and_weights_stay_float32(step: Callable[..., Replica]) -> None:
    plain, rounded = step(), step(precision="bf16")
    assert {value.dtype for value in rounded.model.state_dict().values()} == {torch.float32}
    assert rounded.flat.state.dtype == torch.float32
    assert 1e-4 < distance(rounded, plain) < 0.05


def test_fp32_is_the_default_and_only_tf32_enables_tf32(step: Callable[..., Replica]) -> None:
    plain = step()
    assert torch.get_float32_matmul_precision() == "highest"
    assert distance(step(precision="fp32"), plain) == 0
    assert distance(step(precision="tf32"), plain) < 1e-3
    assert torch.get_float32_matmul_precision() == "high"


def test_compile_compiles_the_network_that_the_step_runs(
    step: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler is replaced by one that returns the network, because importing a real one takes seconds."""
    compiled: list[tuple[nn.Module, bool]] = []
    seen: list[int] = []

    def compiler(model: nn.Module, *, dynamic: bool) -> Callable[[torch.Tensor], Any]:
        compiled.append((model, dynamic))

        def forward(images: torch.Tensor) -> Any:
            seen.append(len(images))
            return model(images)

        return forward

    monkeypatch.setattr(torch, "compile", compiler)
    plain = step()
    assert not compiled
    replica = step(compile="always")
    assert compiled == [(replica.model, False)]
    assert seen == [8]
    assert distance(replica, plain) == 0
