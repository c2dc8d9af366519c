"""The worked examples of an exchange and an optimizer: they fit the program as it is, keep their promises and train."""

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lib.config.schema import OptimizerConfig
from lib.exchange.peer import Peer
from lib.training.flat import FlatParameters
from lib.training.optimizer import Optimizer
from tests.support.pages import blocks
from tests.support.replicas import run_replicas
from tests.support.scripts import ROOT
from tests.support.worked_example import apply_example

EXCHANGE, OPTIMIZER = ROOT / "docs/adding_an_exchange.md", ROOT / "docs/adding_an_optimizer.md"
MOST_LINES = 60
TINY = (
    *("--data.source", "synthetic", "--data.img_size", "36", "--model.name", "tiny", "--batch_size", "8"),
    *("--devices", "[cpu, cpu]", "--run.n_epochs", "1", "--run.limit_batches", "3", "--compute.threads", "1"),
    *("--logging.report", "false", "--logging.tensorboard", "false"),
)


def defined(page: Path, name: str) -> type:
    """Return the class ``name`` of the page's first new file."""
    package = {EXCHANGE: "lib.exchange", OPTIMIZER: "lib.training"}[page]
    namespace: dict[str, Any] = {"__name__": f"{package}.example", "__package__": package}
    exec(blocks(page, "python")[0], namespace)
    found: type = namespace[name]
    return found


def test_examples_of_at_most_60_lines_train_two_workers(tmp_path: Path) -> None:
    assert apply_example(EXCHANGE, tmp_path) <= MOST_LINES
    assert apply_example(OPTIMIZER, tmp_path) <= MOST_LINES
    done = subprocess.run(
        [sys.executable, "train.py", *TINY, "--exchange.method", "whole_peer", "--optimizer.name", "torch_sgd"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-500:]}{done.stderr[-1000:]}"
    used = (tmp_path / "models/config.yaml").read_text()
    assert "whole_peer" in used
    assert "torch_sgd" in used


def test_the_example_of_an_exchange_gives_all_replicas_the_same_mean(tmp_path: Path) -> None:
    whole_peer = defined(EXCHANGE, "WholePeer")

    def body(peer: Peer, rank: int) -> torch.Tensor:
        peer.__class__ = whole_peer
        row = peer.allocate(300)
        for _ in range(4):
            row += torch.randn(300, generator=torch.Generator().manual_seed(rank))
            before = row.clone()
            peer.all_reduce_mean(row)
            mean = torch.tensor(peer.all_gather(before.tolist())).mean(dim=0)
            torch.testing.assert_close(row, mean)
            peer.verify(row)
        return row.clone()

    first, *others = run_replicas(3, body, tmp_path)
    assert all(torch.equal(first, other) for other in others)


def test_the_example_of_an_optimizer_is_pytorchs_sgd() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    theirs = copy.deepcopy(model)
    config = OptimizerConfig(decayed="all", bias_rate_factor=1.0)
    flat = FlatParameters(model, torch.zeros)
    optimizer: Optimizer = defined(OPTIMIZER, "TorchSGD")(flat, config)
    optimizer.set(0.1, config.weight_decay)
    peer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=config.momentum, weight_decay=config.weight_decay)
    for _ in range(5):
        inputs = torch.randn(4, 8)
        peer.zero_grad()
        for network in (model, theirs):
            network(inputs).square().sum().backward()
        optimizer.step(flat.whole)
        peer.step()
        flat.gradients.zero_()
        torch.testing.assert_close(list(model.parameters()), list(theirs.parameters()))
