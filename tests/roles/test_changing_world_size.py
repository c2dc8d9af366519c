"""A training can move between one, eight and two workers without a difference in what it learns."""

from pathlib import Path

import torch
from torch import Tensor

from lib.checkpoints.progress import Progress
from lib.config.schema import Config, DataConfig, ExchangeConfig, LoggingConfig, ModelConfig, RunConfig
from lib.exchange.peer import Peer
from tests.support.in_process import Run
from tests.support.replicas import run_replicas

TOTAL = 16
"""images per iteration, over all workers"""


def run(data_set: Path, weights_dir: Path, *, workers: int, epochs: int) -> Run:
    return Run(
        Config(
            run=RunConfig(weights_dir=weights_dir, n_epochs=epochs),
            data=DataConfig(dir=data_set),
            model=ModelConfig(name="tiny_without_dropout"),
            logging=LoggingConfig(print_freq=2, report=False, tensorboard=False, quiet=True),
            exchange=ExchangeConfig(method="peer" if workers > 1 else "none"),
            devices=("cpu",) * workers,
            batch_size=TOTAL // workers,
        )
    )


def test_a_run_on_one_eight_and_two_workers_in_turn_trains_as_on_one(tmp_path: Path, small_data_set: Path) -> None:
    _, whole, expected = run(small_data_set, tmp_path / "stayed", workers=1, epochs=3).train()

    run(small_data_set, tmp_path / "moved", workers=1, epochs=1).train()
    for epochs, workers in ((2, 8), (3, 2)):
        there = run(small_data_set, tmp_path / "moved", workers=workers, epochs=epochs)

        def plan_from(peer: Peer, rank: int, there: Run = there) -> tuple[Progress, dict[str, Tensor]]:
            _, progress, weights = there.train(exchange=peer, rank=rank)
            return progress, weights

        results = run_replicas(workers, plan_from, tmp_path)
        for progress, weights in results:
            assert progress.epoch == epochs
            assert all(torch.equal(value, results[0][1][name]) for name, value in weights.items())
    progress, found = results[0]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)
    torch.testing.assert_close(torch.tensor(progress.val_record), torch.tensor(whole.val_record), rtol=1e-4, atol=0)
