"""Every worker starts with all that worker 0 read from a checkpoint or from given weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lib.checkpoints.progress import Progress
from lib.config.schema import Config, DataConfig, ExchangeConfig, LoggingConfig, ModelConfig, NormalizeConfig, RunConfig
from lib.errors import CheckpointError, ReplicasDiffer
from lib.exchange.alone import Alone
from lib.exchange.peer import Peer
from lib.models.tiny import Tiny
from lib.roles.replica_builder import build_replica
from lib.training.fine_tuning import start_from
from lib.training.flat import FlatParameters
from lib.training.replica_state import WholeState
from lib.training.snapshots import broadcast_progress
from tests.support.data_sets import write_data_set
from tests.support.in_process import Run
from tests.support.replicas import run_replicas


def config(data_set: Path, weights_dir: Path, **run: Any) -> Config:
    return Config(
        run=RunConfig(weights_dir=weights_dir, **{"n_epochs": 1, **run}),
        data=DataConfig(dir=data_set),
        model=ModelConfig(name="tiny", freeze=("features",), weights=str(weights_dir / "given.pt")),
        normalize=NormalizeConfig(std=(58.4, 57.12, 57.38)),
        logging=LoggingConfig(print_freq=2, report=False, tensorboard=False, quiet=True),
        exchange=ExchangeConfig(method="peer"),
        devices=("cpu", "cpu"),
        batch_size=4,
    )


def frozen_of(weights: dict[str, Tensor]) -> list[Tensor]:
    return [value for name, value in weights.items() if name.startswith("features")]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) > 0 and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def trained_weights(run: Run) -> Callable[[Peer, int], dict[str, Tensor]]:
    return lambda peer, rank: run.train(exchange=peer, rank=rank)[2]


def test_frozen_parameters_are_those_of_worker_0_from_given_weights_and_after_a_resume(
    tmp_path: Path, small_data_set: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    torch.manual_seed(7)
    torch.save(Tiny(4, 28).state_dict(), folder / "given.pt")
    given = Tiny(4, 28)
    settings = config(small_data_set, folder)
    start_from(given, folder / "given.pt", settings.normalize.std)
    goes_on = replace(settings, run=replace(settings.run, n_epochs=2), model=replace(settings.model, weights=None))
    for run in (Run(settings), Run(goes_on)):
        first, second = run_replicas(2, trained_weights(run), tmp_path)
        assert same(frozen_of(first), frozen_of(given.state_dict()))
        assert same(list(first.values()), list(second.values()))


class Network(nn.Sequential):
    """A network with a trained norm, a frozen one, and an integer buffer."""

    def __init__(self, value: float) -> None:
        super().__init__(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 5, bias=False), nn.BatchNorm1d(5))
        self.register_buffer("flags", torch.zeros(3, dtype=torch.bool))
        for parameter in (*self[2].parameters(), *self[3].parameters()):
            parameter.requires_grad_(False)
        for tensor in self.state_dict().values():
            tensor.copy_(torch.full_like(tensor, value))


@pytest.mark.parametrize("differs", [False, True])
def test_every_tensor_of_a_network_is_broadcast_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, differs: bool
) -> None:
    def body(peer: Peer, rank: int) -> tuple[dict[str, Tensor], int]:
        model = Network(rank + 1.0)
        flat = FlatParameters(model, peer.allocate, frozen=[model[3]])
        replica: Any = SimpleNamespace(flat=flat, state=WholeState(model, flat), refresh=lambda: None)
        if differs:
            flat.frozen[0] = 5.0 - rank
            monkeypatch.setattr(peer, "broadcast", lambda segment: segment)
            flat.state.zero_()
            with pytest.raises(ReplicasDiffer, match="replica 1 differs from replica 0 in .* elements"):
                broadcast_progress(Progress(), replica, peer)
        else:
            broadcast_progress(Progress(), replica, peer)
        return {name: value.clone() for name, value in model.state_dict().items()}, len(flat.buffers)

    for weights, n_averaged in run_replicas(2, body, tmp_path):
        if not differs:
            expected = Network(1.0).state_dict()
            assert same(list(weights.values()), list(expected.values()))
        assert n_averaged == 2 * 32  # mean and variance of the trained norm only


def test_statistics_of_frozen_norms_are_not_averaged(tmp_path: Path) -> None:
    """The rounded mean of eight equal numbers differs from them for nearly every second number."""
    data_set = write_data_set(tmp_path / "data", train=8, val=8, img_size=40)
    settings = config(data_set.dir, tmp_path / "run")
    settings = replace(settings, model=ModelConfig(name="resnet18", freeze=("bn1", "layer1")))
    cpu = torch.device("cpu")
    replica = build_replica(settings, Run(settings).data, cpu, torch.float32, Alone(cpu))
    there = replica.flat.frozen.untyped_storage().data_ptr()
    floats = {n: b for n, b in replica.model.named_buffers() if b.is_floating_point()}
    frozen = {name for name, buffer in floats.items() if buffer.untyped_storage().data_ptr() == there}
    assert frozen == {name for name in floats if name.startswith(("bn1", "layer1"))} != set()


@pytest.mark.parametrize(
    ("seed", "batch_size", "order", "says"),
    [
        (
            2,
            4,
            {},
            r"lies within an epoch ordered by run.seed 1; here that is 2, so some .* keep that seed, or continue",
        ),
        (1, 8, {}, r"within an epoch of iterations of 4 images; here they have 8 \(batch_size x workers\)"),
        (
            1,
            4,
            {"shuffle": "files"},
            "ordered by data.shuffle images; here that is data.shuffle files,.* that key,",
        ),
        (1, 4, {"sampling": "class_uniform"}, "data.shuffle images; here that is data.sampling class_uniform"),
    ],
)
def test_another_order_within_an_epoch_is_refused_before_any_weight_changes(
    tmp_path: Path,
    small_data_set: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    batch_size: int,
    order: dict[str, Any],
    says: str,
) -> None:
    settings = replace(config(small_data_set, tmp_path / "run"), model=ModelConfig(name="tiny"), devices=("cpu",))
    assert Run(settings).train(broken=2)[1].iteration == 2

    def changed(*_: object) -> None:
        raise AssertionError("the weights were changed")

    monkeypatch.setattr(nn.Module, "load_state_dict", changed)
    data, run = replace(settings.data, **order), replace(settings.run, seed=seed)
    with pytest.raises(CheckpointError, match=says):
        Run(replace(settings, data=data, run=run, batch_size=batch_size)).train()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda s: [s[part].pop("classifier.2.bias") for part in ("parameters", "momentum")],
            "classifier.2.bias .4,. is missing in the file",
        ),
        (lambda s: s["parameters"].update(more=torch.ones(3)), "more .3,. is not in this network"),
        (
            lambda s: (s["parameters"].update({"classifier.2.bias": torch.ones(5)}), s["momentum"].clear()),
            "classifier.2.bias has shape .5,. in the file",
        ),
        (lambda s: s["momentum"].clear(), "has no momentum of the trained parameters"),
        (lambda s: s.update(iteration=10**9), "has done 1000000000 iterations of its epoch, which has 6 here"),
    ],
    ids=["missing", "more", "shape", "no momentum", "iteration"],
)
def test_a_checkpoint_that_does_not_fit_the_network_is_refused(
    tmp_path: Path, small_data_set: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    settings = replace(config(small_data_set, tmp_path / "run"), model=ModelConfig(name="tiny"), devices=("cpu",))
    Run(settings).train(broken=2)
    path = tmp_path / "run/checkpoints/epoch000_iter00002.pt"
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=says):
        Run(settings).train()
