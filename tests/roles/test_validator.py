"""What a validation takes from the weights that it is given."""

from dataclasses import replace
from pathlib import Path

import torch

from lib.checkpoints.folder import CheckpointFolder
from lib.config.schema import Config, DataConfig, ModelConfig, RunConfig
from lib.data.sources.registry import source_kind
from lib.exchange.alone import Alone
from lib.roles.replica_builder import build_replica
from lib.roles.validator import load
from tests.support.in_process import Run


def test_a_checkpoint_of_a_fine_tuned_run_tells_its_inputs(small_data_set: Path, tmp_path: Path) -> None:
    """model.made_for, which stays in the run's configuration, was for the weights that it began with."""
    config = Config(
        run=RunConfig(weights_dir=tmp_path / "run", n_epochs=1),
        data=DataConfig(source="hickle", dir=small_data_set),
        model=ModelConfig(name="tiny_without_dropout", made_for="caffe"),
        devices=("cpu",),
        batch_size=8,
    )
    _, _, weights = Run(config).train()
    torch.save(weights, tmp_path / "w.pth")
    data, device = source_kind(config.data).describe(config.data), torch.device("cpu")
    replica = build_replica(config, data, device, torch.float32, Alone(device))
    path = CheckpointFolder(tmp_path / "run/checkpoints", keep=1).latest()
    assert path is not None
    assert load(replica, path, config, data) == ([0, 1, 2, 3], True, True)
    assert all(torch.equal(value, weights[name]) for name, value in replica.model.state_dict().items())
    plain = replace(config, model=replace(config.model, made_for="0..255"))
    assert load(replica, tmp_path / "w.pth", plain, data) == ([0, 1, 2, 3], False, False)
