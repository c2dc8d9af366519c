"""Statistics of norms measured on given batches, beside torch.optim.swa_utils.update_bn."""

import copy
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from lib.models.layers import BatchNorm2d
from lib.training.flat import FlatParameters
from lib.training.precise_bn import measure_norms, measuring


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), BatchNorm2d(4, momentum=0.3), nn.Dropout(0.5), nn.Conv2d(4, 4, 3), BatchNorm2d(4)
    )


def batches() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(5, 3, 8, 8, generator=generator) for _ in range(3)]


def measured(model: nn.Module, frozen: tuple[nn.Module, ...] = ()) -> dict[str, Tensor]:
    flat = FlatParameters(model, torch.zeros, frozen=frozen)

    def measure(images_BCHW: Tensor) -> None:
        with measuring(model, frozen), torch.no_grad():
            model(images_BCHW)

    step: Any = SimpleNamespace(measure_norms=measure)
    given: Any = batches()
    measure_norms(step, given, flat.buffers)
    return {name: buffer.clone() for name, buffer in model.named_buffers() if buffer.is_floating_point()}


def test_they_are_those_of_torch() -> None:
    model = network()
    theirs = copy.deepcopy(model)
    theirs[2].eval()
    for module in (*theirs,):
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # update_bn trains the whole network
    update_bn(batches(), theirs)
    found = measured(model)
    for name, expected in theirs.named_buffers():
        if expected.is_floating_point():
            torch.testing.assert_close(found[name], expected, msg=name)
    assert [norm.momentum for norm in model if isinstance(norm, BatchNorm2d)] == [0.3, 0.1]
    assert not any(module.training for module in model)


def test_frozen_norms_keep_theirs() -> None:
    model = network()
    with torch.no_grad():
        model[1].get_buffer("running_mean").fill_(0.25)
    found = measured(model, frozen=(model[1],))
    assert found["1.running_mean"].eq(0.25).all()
    assert found["1.running_var"].eq(1).all()
    assert found["4.running_var"].ne(1).all()


def test_no_batches_change_nothing() -> None:
    buffers_N = torch.arange(3.0)
    step: Any = SimpleNamespace()
    measure_norms(step, [], buffers_N)
    assert buffers_N.tolist() == [0, 1, 2]
